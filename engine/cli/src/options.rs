//! `create -o NAME=VALUE,...`: the options of a new image, in `qemu-img`'s two steps.
//!
//! Types are looked at before the `Formatting` line is printed, values after it.

mod attributes;
pub mod help;
mod value;
mod vhd;
mod vhdx;
mod vmdk;

use crate::image::format_name;
use crate::message::{errno_text, printable, shown};
use attributes::Attributes;
use instar_ops::{CreateRequest, Format, LinkName, Links, Preallocation, Qcow2Options};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use value::{Switch, bytes, number};

/// Options that `qemu-img` knows for qcow2 and `instar` does not support.
const UNSUPPORTED: [&str; 2] = ["encryption", "encrypt."];

/// Formats that a new image may be told its backing file to have; not all of them can be opened here.
const BACKING_FORMATS: [&str; 13] = [
    "bochs",
    "cloop",
    "dmg",
    "file",
    "luks",
    "parallels",
    "qcow",
    "qcow2",
    "qed",
    "raw",
    "vdi",
    "vmdk",
    "vpc",
];

/// Cluster sizes of qcow2 (specification, "Header", `cluster_bits`; 2 MiB is QEMU's limit).
const CLUSTER_SIZES: std::ops::RangeInclusive<u64> = 512..=2 << 20;

/// The options as given, with the defaults of `qemu-img` 5.1 and later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    format: Format,
    /// `size`, in bytes.
    pub size: Option<u64>,
    compat: Option<String>,
    cluster_size: u64,
    extended_l2: Switch,
    preallocation: Option<String>,
    compression_type: String,
    lazy_refcounts: Switch,
    refcount_bits: u64,
    /// The backing file, by whichever option it was given.
    pub backing_file: Option<OsString>,
    /// And its format.
    pub backing_format: Option<OsString>,
    /// The external data file.
    pub data_file: Option<OsString>,
    data_file_raw: Option<Switch>,
    vhd: vhd::Vhd,
    vhdx: vhdx::Vhdx,
    vmdk: vmdk::Vmdk,
    /// What the file system is told of the file.
    pub attributes: Attributes,
}

impl Options {
    /// Refuses a value of `-o` that is no list; this comes before any other check of `create`.
    ///
    /// # Errors
    /// What to say, without the file's name.
    pub fn check_list(list: &str) -> Result<(), String> {
        match value::is_list(list) {
            true => Ok(()),
            false => Err(format!("Invalid option list: {}", printable(list))),
        }
    }

    /// Parses the values of all `-o`; of an option given twice the last one counts.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn parse(format: Format, lists: &[String]) -> Result<Self, String> {
        let mut options = Self {
            format,
            size: None,
            compat: None,
            cluster_size: 65536,
            extended_l2: Switch::OFF,
            preallocation: None,
            compression_type: "zlib".to_owned(),
            lazy_refcounts: Switch::OFF,
            refcount_bits: 16,
            backing_file: None,
            backing_format: None,
            data_file: None,
            data_file_raw: None,
            vhd: vhd::Vhd::default(),
            vhdx: vhdx::Vhdx::default(),
            vmdk: vmdk::Vmdk::default(),
            attributes: Attributes::default(),
        };
        for list in lists {
            for (name, value) in value::pairs(list) {
                options.set(&name, &value)?;
            }
        }
        Ok(options)
    }

    /// Sets an option that only one of the smaller formats has; `None` if there is none of this name.
    fn set_own(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        match self.format {
            Format::Vhd => self.vhd.set(name, value),
            Format::Vhdx => self.vhdx.set(name, value),
            Format::Vmdk => self.vmdk.set(name, value),
            Format::Raw | Format::Qcow2 | Format::Luks | Format::Qed => None,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(done) = self.set_own(name, value).or_else(|| self.attributes.set(name, value)) {
            return done;
        }
        let text = || value.to_owned();
        match (self.format, name) {
            (_, "size") => self.size = Some(bytes("size", value)?),
            (_, "preallocation") => self.preallocation = Some(text()),
            (Format::Qcow2, "compat") => self.compat = Some(text()),
            (Format::Qcow2, "cluster_size") => self.cluster_size = bytes("cluster_size", value)?,
            (Format::Qcow2, "extended_l2") => self.extended_l2 = Switch::parse(name, value)?,
            (Format::Qcow2, "compression_type") => self.compression_type = text(),
            (Format::Qcow2, "lazy_refcounts") => self.lazy_refcounts = Switch::parse(name, value)?,
            (Format::Qcow2, "refcount_bits") => self.refcount_bits = number(name, value)?,
            (Format::Qcow2 | Format::Vmdk, "backing_file") => self.backing_file = Some(value.into()),
            (Format::Qcow2 | Format::Vmdk, "backing_fmt") => self.backing_format = Some(value.into()),
            (Format::Qcow2, "data_file") => self.data_file = Some(value.into()),
            (Format::Qcow2, "data_file_raw") => self.data_file_raw = Some(Switch::parse(name, value)?),
            (Format::Qcow2, other) if is_unsupported(other) => {
                return Err(format!("Option '{}' is not supported", printable(other)));
            }
            (_, other) => return Err(format!("Invalid parameter '{}'", printable(other))),
        }
        Ok(())
    }

    /// Whether a new image tells what identifies the content of its backing file.
    #[must_use]
    pub fn tells_content(&self) -> bool {
        self.format == Format::Vmdk
    }

    /// Takes what `-b` and `-F` say, which count more than `-o`.
    ///
    /// # Errors
    /// What to say after the file's name of a format that has no backing files.
    pub fn set_backing(&mut self, file: Option<&OsString>, format: Option<&OsString>) -> Result<(), String> {
        let name = format_name(self.format);
        let refused = |what: &str| Err(format!("{what} not supported for file format '{name}'"));
        let has_none = !matches!(self.format, Format::Qcow2 | Format::Vmdk);
        match (has_none, file, format) {
            (true, Some(_), _) => return refused("Backing file"),
            (true, None, Some(_)) => return refused("Backing file format"),
            _ => {}
        }
        self.backing_file = file.cloned().or_else(|| self.backing_file.take());
        self.backing_format = format.cloned().or_else(|| self.backing_format.take());
        Ok(())
    }

    /// What follows `fmt=` in the `Formatting` line, for an image of `size` bytes.
    #[must_use]
    pub fn formatting(&self, size: u64) -> String {
        let preallocation = self.preallocation.as_ref();
        let preallocation = preallocation.map(|p| format!(" preallocation={}", printable(p)));
        let preallocation = preallocation.unwrap_or_default();
        let (nocow, hint) = (self.attributes.formatting_nocow(), self.attributes.formatting_hint());
        let last = format!("{nocow}{preallocation}{hint}");
        match self.format {
            Format::Qcow2 => format!("{}{nocow}{hint}", self.formatting_qcow2(size, &preallocation)),
            Format::Vhd => format!("vpc size={size}{}{last}", self.vhd.formatting()),
            Format::Vhdx => format!("vhdx size={size}{}{last}", self.vhdx.formatting()),
            Format::Vmdk => {
                let (first, names) = (self.vmdk.formatting_first(), self.formatting_names());
                format!("vmdk size={size}{first}{names}{}{last}", self.vmdk.formatting())
            }
            other => format!("{} size={size}{last}", format_name(other)),
        }
    }

    fn formatting_qcow2(&self, size: u64, preallocation: &str) -> String {
        let mut out = format!(
            "qcow2 cluster_size={} extended_l2={}{preallocation} compression_type={} size={size}",
            self.cluster_size,
            self.extended_l2,
            printable(&self.compression_type),
        );
        if let Some(compat) = &self.compat {
            out.push_str(&format!(" compat={}", printable(compat)));
        }
        out.push_str(&self.formatting_names());
        if let Some(raw) = self.data_file_raw {
            out.push_str(&format!(" data_file_raw={raw}"));
        }
        let lazy = self.lazy_refcounts;
        out.push_str(&format!(" lazy_refcounts={lazy} refcount_bits={}", self.refcount_bits.cast_signed()));
        out
    }

    /// The names, with commas as a list of options has them.
    fn formatting_names(&self) -> String {
        let names = [
            ("backing_file", &self.backing_file),
            ("backing_fmt", &self.backing_format),
            ("data_file", &self.data_file),
        ];
        let given = names.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!(" {name}={}", shown(value).replace(',', ",,"))).collect()
    }

    /// The request for an image of `size` bytes with these options, but for its identity. Whether they go
    /// together is for the operation to say.
    ///
    /// # Errors
    /// What to say after the file's name: a value that its option does not have.
    pub fn request(&self, size: u64) -> Result<CreateRequest, String> {
        self.attributes.check()?;
        Ok(CreateRequest {
            vhd: self.vhd.values()?,
            vhdx: self.vhdx.values()?,
            vmdk: self.vmdk.values(self.backing_file.is_some())?,
            qcow2: self.qcow2()?,
            ..CreateRequest::new(self.format, size)
        })
    }

    /// qcow2's own options, and what every format has of them.
    ///
    /// # Errors
    /// What to say after the file's name: a value that its option does not have.
    fn qcow2(&self) -> Result<Qcow2Options, String> {
        let preallocation = match self.preallocation.as_deref() {
            None | Some("off") => Preallocation::Off,
            Some("metadata") => Preallocation::Metadata,
            Some("falloc") => Preallocation::Falloc,
            Some("full") => Preallocation::Full,
            Some(other) if self.format != Format::Qcow2 => {
                return Err(format!("invalid parameter value: {}", printable(other)));
            }
            Some(other) => return unknown("preallocation", other),
        };
        let version = match self.compat.as_deref() {
            None | Some("1.1" | "v3") => 3,
            Some("0.10" | "v2") => 2,
            Some(other) => return unknown("version", other),
        };
        let zstd = match self.compression_type.as_str() {
            "zlib" => false,
            "zstd" => true,
            other => return unknown("compression-type", other),
        };
        Ok(Qcow2Options {
            version,
            cluster_bits: cluster_bits(self.cluster_size)?,
            refcount_bits: refcount_bits(self.refcount_bits)?,
            lazy_refcounts: self.lazy_refcounts.is_on,
            extended_l2: self.extended_l2.is_on,
            zstd,
            preallocation,
            links: self.links()?,
        })
    }

    /// The files that the image names.
    fn links(&self) -> Result<Links, String> {
        let no_name = OsString::new();
        let format = self.backing_format.as_ref().unwrap_or(&no_name);
        if !format.is_empty() && !BACKING_FORMATS.iter().any(|known| *known == format) {
            let format = shown(format);
            return Err(format!("Parameter 'backing-fmt' does not accept value '{format}'"));
        }
        let stored = |name: &OsStr| LinkName::new(name.as_bytes());
        let backing = self.backing_file.as_ref().unwrap_or(&no_name);
        let not_assigned = || unassigned(backing, format, libc::EINVAL);
        let data_file = self.data_file.as_ref().unwrap_or(&no_name);
        Ok(Links {
            backing_file: stored(backing).ok_or_else(not_assigned)?,
            backing_format: stored(format).ok_or_else(not_assigned)?,
            data_file: stored(data_file).ok_or("The name of the data file is too long")?,
            data_file_raw: self.data_file_raw.is_some_and(|raw| raw.is_on),
        })
    }

    /// What to say if the names do not fit.
    #[must_use]
    pub fn names_do_not_fit(&self) -> String {
        let no_name = OsString::new();
        let format = self.backing_format.as_ref().unwrap_or(&no_name);
        unassigned(self.backing_file.as_ref().unwrap_or(&no_name), format, libc::ENOSPC)
    }
}

fn unassigned(backing: &OsStr, format: &OsStr, errno: i32) -> String {
    let why = errno_text(&std::io::Error::from_raw_os_error(errno));
    let (backing, format) = (shown(backing), shown(format));
    format!("Could not assign backing file '{backing}' with format '{format}': {why}")
}

fn unknown<T>(parameter: &str, value: &str) -> Result<T, String> {
    Err(format!("Parameter '{parameter}' does not accept value '{}'", printable(value)))
}

fn is_unsupported(name: &str) -> bool {
    let matches = |known: &&str| name == *known || known.ends_with('.') && name.starts_with(*known);
    UNSUPPORTED.iter().any(matches)
}

fn cluster_bits(size: u64) -> Result<u32, String> {
    match CLUSTER_SIZES.contains(&size) && size.is_power_of_two() {
        true => Ok(size.trailing_zeros()),
        false => Err("Cluster size must be a power of two between 512 and 2048k".to_owned()),
    }
}

fn refcount_bits(bits: u64) -> Result<u32, String> {
    match u32::try_from(bits) {
        Ok(bits) if bits <= 64 && bits.is_power_of_two() => Ok(bits),
        _ => Err("Refcount width must be a power of two and may not exceed 64 bits".to_owned()),
    }
}

#[cfg(test)]
mod tests;
