//! `create -o NAME=VALUE,...`: the options of a new image, in `qemu-img`'s two steps.
//!
//! Types are looked at before the `Formatting` line is printed, values after it.

use crate::message::{errno_text, printable, shown};
use crate::size;
use instar_ops::{Format, LinkName, Links, Preallocation, Qcow2Options};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

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
    extended_l2: bool,
    preallocation: Option<String>,
    compression_type: String,
    lazy_refcounts: bool,
    refcount_bits: u64,
    /// The backing file, by whichever option it was given.
    pub backing_file: Option<OsString>,
    /// And its format.
    pub backing_format: Option<OsString>,
    /// The external data file.
    pub data_file: Option<OsString>,
    data_file_raw: Option<bool>,
}

impl Options {
    /// Refuses a value of `-o` that is no list; this comes before any other check of `create`.
    ///
    /// # Errors
    /// What to say, without the file's name.
    pub fn check_list(list: &str) -> Result<(), String> {
        match list.is_empty() || list.starts_with(',') || list.ends_with(',') {
            true => Err(format!("Invalid option list: {}", printable(list))),
            false => Ok(()),
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
            extended_l2: false,
            preallocation: None,
            compression_type: "zlib".to_owned(),
            lazy_refcounts: false,
            refcount_bits: 16,
            backing_file: None,
            backing_format: None,
            data_file: None,
            data_file_raw: None,
        };
        for list in lists {
            for (name, value) in list.split(',').map(name_and_value) {
                options.set(name, value)?;
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || value.to_owned();
        match (self.format, name) {
            (_, "size") => self.size = Some(bytes("size", value)?),
            (_, "preallocation") => self.preallocation = Some(text()),
            (Format::Qcow2, "compat") => self.compat = Some(text()),
            (Format::Qcow2, "cluster_size") => self.cluster_size = bytes("cluster_size", value)?,
            (Format::Qcow2, "extended_l2") => self.extended_l2 = switch(name, value)?,
            (Format::Qcow2, "compression_type") => self.compression_type = text(),
            (Format::Qcow2, "lazy_refcounts") => self.lazy_refcounts = switch(name, value)?,
            (Format::Qcow2, "refcount_bits") => self.refcount_bits = number(name, value)?,
            (Format::Qcow2, "backing_file") => self.backing_file = Some(value.into()),
            (Format::Qcow2, "backing_fmt") => self.backing_format = Some(value.into()),
            (Format::Qcow2, "data_file") => self.data_file = Some(value.into()),
            (Format::Qcow2, "data_file_raw") => self.data_file_raw = Some(switch(name, value)?),
            (Format::Qcow2, other) if is_unsupported(other) => {
                return Err(format!("Option '{}' is not supported", printable(other)));
            }
            (_, other) => return Err(format!("Invalid parameter '{}'", printable(other))),
        }
        Ok(())
    }

    /// Takes what `-b` and `-F` say, which count more than `-o`.
    ///
    /// # Errors
    /// What to say after the file's name of a format that has no backing files.
    pub fn set_backing(&mut self, file: Option<&OsString>, format: Option<&OsString>) -> Result<(), String> {
        let refused = |what: &str| Err(format!("{what} not supported for file format 'raw'"));
        match (self.format, file, format) {
            (Format::Raw, Some(_), _) => return refused("Backing file"),
            (Format::Raw, None, Some(_)) => return refused("Backing file format"),
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
        if self.format == Format::Raw {
            return format!("raw size={size}{preallocation}");
        }
        let on = |flag| if flag { "on" } else { "off" };
        let mut out = format!(
            "qcow2 cluster_size={} extended_l2={}{preallocation} compression_type={} size={size}",
            self.cluster_size,
            on(self.extended_l2),
            printable(&self.compression_type),
        );
        if let Some(compat) = &self.compat {
            out.push_str(&format!(" compat={}", printable(compat)));
        }
        let names = [
            ("backing_file", &self.backing_file),
            ("backing_fmt", &self.backing_format),
            ("data_file", &self.data_file),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                out.push_str(&format!(" {name}={}", shown(value)));
            }
        }
        if let Some(raw) = self.data_file_raw {
            out.push_str(&format!(" data_file_raw={}", on(raw)));
        }
        let lazy = on(self.lazy_refcounts);
        out.push_str(&format!(" lazy_refcounts={lazy} refcount_bits={}", self.refcount_bits));
        out
    }

    /// The options for the operation. Whether they go together is for it to say.
    ///
    /// # Errors
    /// What to say after the file's name: a value that its option does not have.
    pub fn qcow2(&self) -> Result<Qcow2Options, String> {
        let unknown = |parameter: &str, value: &str| {
            let value = printable(value);
            Err(format!("Parameter '{parameter}' does not accept value '{value}'"))
        };
        let preallocation = match self.preallocation.as_deref() {
            None | Some("off") => Preallocation::Off,
            Some("metadata") => Preallocation::Metadata,
            Some("falloc") => Preallocation::Falloc,
            Some("full") => Preallocation::Full,
            Some(other) if self.format == Format::Raw => {
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
            lazy_refcounts: self.lazy_refcounts,
            extended_l2: self.extended_l2,
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
            data_file_raw: self.data_file_raw.unwrap_or(false),
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

/// A name alone switches its option on, with `no` before it off.
fn name_and_value(item: &str) -> (&str, &str) {
    match (item.split_once('='), item.strip_prefix("no")) {
        (Some(pair), _) => pair,
        (None, Some(name)) => (name, "off"),
        (None, None) => (item, "on"),
    }
}

fn is_unsupported(name: &str) -> bool {
    let matches = |known: &&str| name == *known || known.ends_with('.') && name.starts_with(*known);
    UNSUPPORTED.iter().any(matches)
}

fn bytes(parameter: &'static str, value: &str) -> Result<u64, String> {
    size::parse(parameter, value).map_err(|e| e.to_string())
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("Parameter '{name}' expects 'on' or 'off'")),
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| format!("Parameter '{name}' expects a number"))
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
mod tests {
    use super::*;

    fn qcow2(list: &str) -> Result<Qcow2Options, String> {
        Options::parse(Format::Qcow2, &[list.to_owned()])?.qcow2()
    }

    #[test]
    fn values_reach_the_operation() {
        let expected = Qcow2Options {
            version: 2,
            cluster_bits: 12,
            refcount_bits: 8,
            lazy_refcounts: true,
            extended_l2: false,
            zstd: true,
            preallocation: Preallocation::Metadata,
            links: Links {
                backing_file: LinkName::new(b"b").expect("short"),
                backing_format: LinkName::new(b"raw").expect("short"),
                data_file: LinkName::new(b"d").expect("short"),
                data_file_raw: true,
            },
        };
        let list = "compat=0.10,cluster_size=4k,refcount_bits=8,lazy_refcounts,noextended_l2,\
                    compression_type=zstd,preallocation=metadata,backing_file=b,backing_fmt=raw,\
                    data_file=d,data_file_raw";
        assert_eq!(qcow2(list), Ok(expected));
        assert_eq!(qcow2("compat=v3"), Ok(Qcow2Options::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("foo=1", "Invalid parameter 'foo'"),
            ("cluster_size=513", "Cluster size must be"),
            ("cluster_size=4M", "Cluster size must be"),
            ("cluster_size=x", "Parameter 'cluster_size' expects a non-negative"),
            ("refcount_bits=3", "Refcount width must be"),
            ("refcount_bits=0", "Refcount width must be"),
            ("refcount_bits=x", "Parameter 'refcount_bits' expects a number"),
            ("lazy_refcounts=maybe", "Parameter 'lazy_refcounts' expects 'on' or 'off'"),
            ("compat=9", "Parameter 'version' does not accept value '9'"),
            ("compression_type=lz", "Parameter 'compression-type' does not accept"),
            ("preallocation=lz", "Parameter 'preallocation' does not accept value"),
            ("data_file_raw=x", "Parameter 'data_file_raw' expects 'on' or 'off'"),
            ("backing_file=x,backing_fmt=lz", "Parameter 'backing-fmt' does not accept value 'lz'"),
            ("encrypt.format=luks", "Option 'encrypt.format' is not supported"),
        ];
        for (list, text) in table {
            let error = qcow2(list).expect_err(list);
            assert!(error.starts_with(text), "{list}: {error}");
        }
        for list in ["", ",size=1M", "size=1M,"] {
            let error = Options::check_list(list).expect_err(list);
            assert_eq!(error, format!("Invalid option list: {list}"));
        }
        let raw = Options::parse(Format::Raw, &["cluster_size=4k".to_owned()]);
        assert_eq!(raw, Err("Invalid parameter 'cluster_size'".to_owned()));
    }

    #[test]
    fn the_last_value_counts() {
        let lists = ["size=1M,cluster_size=64k", "cluster_size=4k"].map(str::to_owned);
        let options = Options::parse(Format::Qcow2, &lists).expect("parses");
        let text = "qcow2 cluster_size=4096 extended_l2=off compression_type=zlib size=1048576 \
                    lazy_refcounts=off refcount_bits=16";
        assert_eq!(options.formatting(1 << 20), text);
    }
}
