//! Which version of `qemu-img` to answer like, where its answers changed.

/// The name of the program whose place this one can take, and the release whose command line it has.
const MODEL: (&str, &str) = ("qemu-img", "10.1.0");

/// What the program called `name` says of its version. In the place of `qemu-img` it begins as that
/// does, since scripts look for the number.
#[must_use]
pub fn line(name: &str) -> String {
    let own = concat!("instar ", env!("CARGO_PKG_VERSION"));
    let (model, version) = MODEL;
    if name == model { format!("{model} version {version} ({own})\n") } else { format!("{own}\n") }
}

/// A release of QEMU, as far as output depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QemuVersion {
    major: u16,
    minor: u16,
}

impl QemuVersion {
    /// Later than any release: the newest answers.
    pub const NEWEST: Self = Self::new(u16::MAX, u16::MAX);
    /// qcow2 images report external data files and bitmaps.
    pub const DATA_FILE: Self = Self::new(4, 0);
    /// qcow2 images report their compression type.
    pub const COMPRESSION_TYPE: Self = Self::new(5, 1);
    /// qcow2 images report extended L2 entries, snapshots report an instruction count.
    pub const EXTENDED_L2: Self = Self::new(5, 2);
    /// The dirty flag of qcow2 images is reported as it is; before, it was always false.
    pub const DIRTY_FLAG: Self = Self::new(6, 1);
    /// LUKS reports whether its header is a file of its own.
    pub const DETACHED_HEADER: Self = Self::new(9, 0);
    /// `info` describes the block graph below the image.
    pub const CHILDREN: Self = Self::new(8, 0);

    const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Parses `MAJOR[.MINOR[.REST]]`. A major version alone is the last of its series.
    ///
    /// # Errors
    /// A line that says what a version is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text = crate::message::printable(text);
            format!("--qemu-version expects a version such as 8.2 or 10.0.2, not '{text}'")
        };
        let mut parts = text.split('.').map(number);
        let major = parts.next().flatten().ok_or_else(wrong)?;
        let minor = match parts.next() {
            Some(minor) => minor.ok_or_else(wrong)?,
            None => u16::MAX,
        };
        match parts.all(|p| p.is_some()) {
            true => Ok(Self { major, minor }),
            false => Err(wrong()),
        }
    }
}

fn number(digits: &str) -> Option<u16> {
    let fine = digits.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_where_scripts_look_for_it() {
        assert!(line("instar").starts_with("instar 0."));
        assert!(line("qemu-img").starts_with("qemu-img version 10.1.0 (instar 0."));
    }

    #[test]
    fn versions_are_ordered() {
        let v = |s| QemuVersion::parse(s).expect("a version");
        assert!(v("7.2.22") < QemuVersion::CHILDREN);
        assert!(v("8") > QemuVersion::CHILDREN);
        assert!(v("8.0") >= QemuVersion::CHILDREN);
        assert!(v("10.0.2") > v("9.2"));
        assert!(v("11.1.3") < QemuVersion::NEWEST);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", ".", "8.", "8.x", "v8", "8.2-rc1", "-8", "+8", "8..1", "99999.1"] {
            assert!(QemuVersion::parse(text).is_err(), "{text:?}");
        }
    }
}
