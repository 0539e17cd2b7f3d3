//! What the file system is told of a new file before anything is in it: options of the file, whatever its format.

use super::value::{Switch, bytes};
use crate::message::{Program, errno_text};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// The size of extents that `qemu-img` asks for where nobody says one, in bytes.
const DEFAULT_HINT: u32 = 1 << 20;
/// `FS_IOC_FSGETXATTR`, `FS_IOC_FSSETXATTR` and `FS_XFLAG_EXTSIZE` of `linux/fs.h`.
const GET_XATTR: libc::Ioctl = 0x801c_581f_u32 as libc::Ioctl;
const SET_XATTR: libc::Ioctl = 0x401c_5820;
const XFLAG_EXTSIZE: u32 = 0x800;

/// `struct fsxattr` of `linux/fs.h`.
#[repr(C)]
#[derive(Debug, Default)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

const _: () = assert!(size_of::<FsXattr>() == 28);

/// The options as given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    nocow: Option<Switch>,
    extent_size_hint: Option<u64>,
}

impl Attributes {
    /// Sets an option; `None` if there is none of this name.
    pub fn set(&mut self, name: &str, value: &str) -> Option<Result<(), String>> {
        match name {
            "nocow" => Some(Switch::parse(name, value).map(|nocow| self.nocow = Some(nocow))),
            "extent_size_hint" => {
                Some(bytes("extent_size_hint", value).map(|hint| self.extent_size_hint = Some(hint)))
            }
            _ => None,
        }
    }

    /// `nocow` in the `Formatting` line.
    pub fn formatting_nocow(&self) -> String {
        self.nocow.map(|nocow| format!(" nocow={}", nocow)).unwrap_or_default()
    }

    /// `extent_size_hint` there.
    pub fn formatting_hint(&self) -> String {
        self.extent_size_hint.map(|hint| format!(" extent_size_hint={hint}")).unwrap_or_default()
    }

    /// Refuses what no file system takes.
    ///
    /// # Errors
    /// What to say after the file's name.
    pub fn check(&self) -> Result<(), String> {
        self.hint().map(drop)
    }

    fn hint(&self) -> Result<u32, String> {
        let hint = self.extent_size_hint.map_or(Ok(DEFAULT_HINT), u32::try_from);
        hint.map_err(|_| "Extent size hint is too large".to_owned())
    }

    /// Tells the file system of `file`, which is empty. One that does not know what is meant is none the worse for it: a
    /// hint that was asked for and is not taken is worth a warning.
    pub fn apply(&self, program: &Program, file: &File) {
        if self.nocow.is_some_and(|nocow| nocow.is_on) {
            let set = |flags| ioctl_setflags(file, flags | IFlags::NOCOW);
            // Only btrfs copies before it writes.
            let _ = ioctl_getflags(file).and_then(set);
        }
        let Ok(hint) = self.hint() else { return };
        let asked = self.extent_size_hint.is_some_and(|hint| hint > 0);
        if let Err(e) = set_hint(file, hint)
            && asked
        {
            program.warning(&format!("Failed to set extent size hint: {}", errno_text(&e)));
        }
    }
}

fn set_hint(file: &File, hint: u32) -> io::Result<()> {
    let mut attributes = FsXattr::default();
    let done = |code: libc::c_int| if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: the file is open, and the structure is as the kernel lays it out, and valid during the call.
    done(unsafe { libc::ioctl(file.as_raw_fd(), GET_XATTR, &raw mut attributes) })?;
    attributes.xflags |= XFLAG_EXTSIZE;
    attributes.extsize = hint;
    // SAFETY: as above.
    done(unsafe { libc::ioctl(file.as_raw_fd(), SET_XATTR, &raw const attributes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_has_32_bits() {
        let mut attributes = Attributes::default();
        assert_eq!(attributes.check(), Ok(()));
        assert_eq!(attributes.set("extent_size_hint", "4G"), Some(Ok(())));
        assert_eq!(attributes.check(), Err("Extent size hint is too large".to_owned()));
        assert_eq!(attributes.set("extent_size_hint", "0x100000"), Some(Ok(())));
        assert_eq!(
            (attributes.check(), attributes.formatting_hint()),
            (Ok(()), " extent_size_hint=1048576".into())
        );
        assert_eq!(
            attributes.set("nocow", "maybe"),
            Some(Err("Parameter 'nocow' expects 'on' or 'off'".into()))
        );
        assert_eq!((attributes.set("cow", "on"), attributes.formatting_nocow().as_str()), (None, ""));
    }

    #[test]
    fn a_file_that_takes_none_is_as_good() {
        let file = tempfile::tempfile().expect("a temporary file");
        let mut attributes = Attributes { extent_size_hint: Some(0), ..Attributes::default() };
        assert_eq!(attributes.set("nocow", "yes"), Some(Ok(())));
        attributes.apply(&Program::new(None), &file);
        assert_eq!(file.metadata().expect("open").len(), 0);
    }
}
