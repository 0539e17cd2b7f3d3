//! Names that an image stores for its other files, as `qemu-img` reads them.

use crate::image_opts::ImageOpts;
use crate::keyval::{Pair, from_json_tree, joined};
use crate::name::ImageName;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a stored name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The file.
    pub name: ImageName,
    /// The format that it is said to have.
    pub format: Option<String>,
    /// Its options, if there are any.
    pub opts: Option<ImageOpts>,
}

impl Stored {
    /// The name `stored` in the image `owner`, which says that the file is in `format`, if that is not empty: a path
    /// relative to that image's directory, with or without `file:` before it, or `json:{...}` with options. The format
    /// counts for more than theirs, and what the user has `told` for more than both; if that is a file, it is the one.
    ///
    /// # Errors
    /// What to say of a name that is none of them.
    pub fn parse(owner: &ImageName, stored: &[u8], format: &[u8], told: &[Pair]) -> Result<Self, String> {
        let format = String::from_utf8_lossy(format);
        let named = (!format.is_empty()).then(|| Pair::text("driver", &format));
        let said = joined(named.into_iter().collect(), told.to_vec());
        if told.iter().any(|pair| pair.key == "file.filename") {
            return Ok(Self::of(OsStr::from_bytes(stored), ImageOpts::from_pairs(said)?));
        }
        if let Some(json) = stored.strip_prefix(b"json:") {
            let opts = ImageOpts::from_pairs(joined(from_json_tree(json)?, said))?;
            return Ok(Self::of(OsStr::from_bytes(stored), opts));
        }
        let name = ImageName::new(OsStr::from_bytes(&owner.resolve(stored)))?;
        let opts = match told {
            [] => None,
            _ => Some(ImageOpts::of_file(name.path().as_os_str(), said)?),
        };
        let own = (!format.is_empty()).then(|| format.into_owned());
        let format = opts.as_ref().map_or(own, |opts| opts.driver.clone());
        Ok(Self { name, format, opts })
    }

    fn of(given: &OsStr, opts: ImageOpts) -> Self {
        let name = ImageName::from_options(given, &opts.filename);
        Self { name, format: opts.driver.clone(), opts: Some(opts) }
    }

    /// The name of the secret that opens it, if one is told.
    pub fn key_secret(&self) -> Option<&str> {
        self.opts.as_ref()?.key_secret.as_deref()
    }
}

#[cfg(test)]
mod tests;
