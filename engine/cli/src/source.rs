//! Which image a command is about, and how it is unlocked.

use crate::args::SourceArgs;
use crate::engine::Engine;
use crate::error::CliError;
use crate::image::{Access, Image};
use crate::image_opts::ImageOpts;
use crate::keyval::Pair;
use crate::message::{Program, printable, shown};
use crate::name::ImageName;
use crate::secret::Secrets;
use instar_ops::{Encryption, Format, ImageError, OpError, UnlockRequest};
use instar_vmm::Window;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// An image as the command line describes it.
pub struct Source {
    secrets: Secrets,
    opts: Option<ImageOpts>,
}

impl Source {
    /// Understands the options; `file` is the image's name, or its options. Of the options, the `secrets` come before all
    /// operands.
    ///
    /// # Errors
    /// [`CliError`] in `qemu-img`'s words.
    pub fn new(secrets: Secrets, args: &SourceArgs, file: &OsStr) -> Result<Self, CliError> {
        if args.image_opts && args.format.is_some() {
            let text = "--image-opts and --format are mutually exclusive";
            return Err(CliError::Refused(text.to_owned()));
        }
        let refused = |reason| CliError::Open { name: shown(file), reason };
        let opts = match file.as_bytes().strip_prefix(b"json:") {
            _ if args.image_opts => Some(ImageOpts::parse(file)),
            Some(json) => Some(ImageOpts::from_json(json, args.format.as_deref())),
            None => None,
        };
        Ok(Self { secrets, opts: opts.transpose().map_err(refused)? })
    }

    /// Opens and locks the image.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open(
        &self,
        program: &Program,
        (args, file): (&SourceArgs, &OsStr),
        access: Access,
    ) -> Result<Image, CliError> {
        let Some(opts) = &self.opts else { return Image::open(file, args.format.as_deref(), access) };
        for _ in 0..opts.deprecated {
            program.warning("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
        }
        if opts.read_only && matches!(access, Access::Write | Access::Repair) {
            let reason = "Block node is read-only".to_owned();
            return Err(CliError::Open { name: shown(file), reason });
        }
        let name = ImageName::from_options(file, &opts.filename);
        Image::open_as(name, Some(opts), opts.driver.as_deref(), access)
    }

    /// Whether the image is to be used without its backing file.
    pub fn detached(&self) -> bool {
        self.opts.as_ref().is_some_and(|opts| opts.detached)
    }

    /// Compares the image's encryption with the one that the options name, if they do.
    ///
    /// # Errors
    /// [`CliError::Open`] if they differ.
    pub fn check_encryption(&self, engine: &dyn Engine, image: &Image) -> Result<(), CliError> {
        let Some(named) = self.opts.as_ref().and_then(|opts| opts.encryption.as_deref()) else {
            return Ok(());
        };
        let expected = match named {
            "luks" => Encryption::Luks,
            "aes" => Encryption::Aes,
            _ => Encryption::None,
        };
        let request = UnlockRequest { format: image.format, expected: Some(expected) };
        let found = engine.unlock(image.window(), &request, None)?.result;
        let named = printable(named);
        let reported = |found: &str| CliError::Open {
            name: image.name.given(),
            reason: format!("Header reported '{found}' encryption format but options specify '{named}'"),
        };
        found.map(drop).map_err(|error| match error {
            OpError::Image(ImageError::ReportsLuks) => reported("luks"),
            OpError::Image(ImageError::ReportsAes) => reported("aes"),
            OpError::Image(ImageError::NotEncrypted) => CliError::Open {
                name: image.name.given(),
                reason: format!("No encryption in image header, but options specified format '{named}'"),
            },
            error => CliError::from_op(error, &image.name.given()),
        })
    }

    /// Refuses what is said of images behind the image, where they are not opened.
    ///
    /// # Errors
    /// [`CliError::Open`] in `qemu-img`'s words.
    pub fn refuse_behind(&self, file: &OsStr) -> Result<(), CliError> {
        match self.opts.as_ref().and_then(ImageOpts::behind_unopened) {
            Some(reason) => Err(CliError::Open { name: shown(file), reason }),
            None => Ok(()),
        }
    }

    /// What is said of the images behind the image.
    pub fn behind(&self) -> &[Pair] {
        self.opts.as_ref().map_or(&[], |opts| &opts.behind)
    }

    /// The secret called `id`.
    ///
    /// # Errors
    /// There is none, or no guest takes one of its length.
    pub fn passphrase(&self, id: &str) -> Result<&[u8], String> {
        let passphrase = self.secrets.passphrase(id)?;
        match passphrase.len() <= instar_ops::PASSPHRASE_LEN {
            true => Ok(passphrase),
            false => Err(format!("a passphrase has {} bytes at most", instar_ops::PASSPHRASE_LEN)),
        }
    }

    /// Unlocks `file`, of `format`, with the secret called `id`; the guest that does is the only one that sees the passphrase.
    ///
    /// # Errors
    /// [`CliError::Open`] of the image called `name`, for `reason`: there is no such secret, or it does not open the file.
    pub fn unlock_with(
        &self,
        engine: &dyn Engine,
        (file, format): (Window<'_>, Option<Format>),
        id: &str,
        refused: impl Fn(String) -> CliError,
    ) -> Result<(), CliError> {
        let passphrase = self.passphrase(id).map_err(&refused)?;
        let request = UnlockRequest { format, expected: None };
        let unlocked = engine.unlock(file, &request, Some(passphrase))?.result;
        unlocked.map(drop).map_err(|error| match CliError::from_op(error, "") {
            CliError::Open { reason, .. } => refused(reason),
            other => other,
        })
    }

    /// Unlocks the image if `result` says that it must be and a secret is named for it; whether it did.
    ///
    /// # Errors
    /// [`CliError::Open`]: there is no such secret, or it does not open the image.
    pub fn unlock<T>(
        &self,
        engine: &dyn Engine,
        image: &Image,
        result: &Result<T, OpError>,
    ) -> Result<bool, CliError> {
        let locked = [ImageError::KeySecret, ImageError::EncryptKeySecret].map(OpError::Image);
        let id = self.opts.as_ref().and_then(|opts| opts.key_secret.as_deref());
        let Some(id) = id.filter(|_| matches!(result, Err(error) if locked.contains(error))) else {
            return Ok(false);
        };
        let refused = |reason| CliError::Open { name: image.name.given(), reason };
        self.unlock_with(engine, (image.window(), image.format), id, refused)?;
        Ok(true)
    }
}
