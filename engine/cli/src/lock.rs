//! Locks on an image file that QEMU honours and that honour QEMU's.
//!
//! QEMU turns its block permissions into open-file-description locks on single bytes of the image.
//! For each permission there are two bytes: a shared lock on the first says "I use it", one on the
//! second says "nobody else may". Nobody ever holds an exclusive lock; whether somebody's claims
//! conflict is asked with `F_OFD_GETLK`. The locks go with the open file, whatever ends the process.

use crate::message::errno_text;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// First of the bytes that say "I use this permission".
const USED_BASE: libc::off_t = 100;
/// First of the bytes that say "nobody else may use this permission".
const DENIED_BASE: libc::off_t = 200;

/// A permission of QEMU's block layer, numbered as in its locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    ConsistentRead = 0,
    Write = 1,
    Resize = 3,
}

impl Permission {
    const fn name(self) -> &'static str {
        match self {
            Self::ConsistentRead => "consistent read",
            Self::Write => "write",
            Self::Resize => "resize",
        }
    }
}

/// What a command wants to do with an image, as `qemu-img`'s own commands claim it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Read and write it, nobody else writing: what `qemu-img resize` of a qcow2 image claims.
    Exclusive,
    /// Look at its header, nobody writing: `qemu-img info`.
    Glance,
    /// Read its metadata consistently, nobody writing: `qemu-img check`.
    Read,
    /// Nothing: an image without metadata, or `--force-share`.
    Nothing,
}

impl Claim {
    const fn used(self) -> &'static [Permission] {
        use Permission::{ConsistentRead, Resize, Write};
        match self {
            Self::Exclusive => &[ConsistentRead, Write, Resize],
            Self::Read => &[ConsistentRead],
            Self::Glance | Self::Nothing => &[],
        }
    }

    const fn denied(self) -> &'static [Permission] {
        match self {
            Self::Nothing => &[],
            _ => &[Permission::Write, Permission::Resize],
        }
    }
}

/// Locks `file` for `claim` until it is closed. Waits for nobody.
///
/// # Errors
/// What to tell, without the file's name: which permission somebody else holds or denies, or that
/// the filesystem cannot lock.
pub fn lock(file: &File, claim: Claim) -> Result<(), String> {
    for &permission in claim.used() {
        set(file, USED_BASE + permission as libc::off_t)?;
    }
    for &permission in claim.denied() {
        set(file, DENIED_BASE + permission as libc::off_t)?;
    }
    for &permission in claim.used() {
        if is_held(file, DENIED_BASE + permission as libc::off_t)? {
            return Err(format!("Failed to get \"{}\" lock", permission.name()));
        }
    }
    for &permission in claim.denied() {
        if is_held(file, USED_BASE + permission as libc::off_t)? {
            return Err(format!("Failed to get shared \"{}\" lock", permission.name()));
        }
    }
    Ok(())
}

fn set(file: &File, byte: libc::off_t) -> Result<(), String> {
    ask(file, libc::F_OFD_SETLK, libc::F_RDLCK, byte).map(drop)
}

/// Whether another open file holds a lock on `byte`.
fn is_held(file: &File, byte: libc::off_t) -> Result<bool, String> {
    let answer = ask(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte)?;
    Ok(i32::from(answer.l_type) != libc::F_UNLCK)
}

fn ask(file: &File, command: i32, kind: i32, byte: libc::off_t) -> Result<libc::flock, String> {
    // SAFETY: flock is a plain C struct of integers, for which all zeros is a valid value.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = i16::try_from(kind).unwrap_or_default();
    request.l_whence = i16::try_from(libc::SEEK_SET).unwrap_or_default();
    request.l_start = byte;
    request.l_len = 1;
    // SAFETY: the descriptor is open for the length of the call and the struct outlives it.
    let rc = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut request) };
    if rc == -1 {
        let why = errno_text(&io::Error::last_os_error());
        return Err(format!("Failed to lock byte {byte}: {why}"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(first: Claim, second: Claim) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let other = File::open(file.path()).expect("opens again");
        lock(file.as_file(), first).expect("nobody else is there");
        lock(&other, second)
    }

    #[test]
    fn one_writer_and_nobody_else() {
        let write = "Failed to get \"write\" lock".to_owned();
        let shared = "Failed to get shared \"write\" lock".to_owned();
        let pairs = [
            (Claim::Exclusive, Claim::Exclusive, Err(write.clone())),
            (Claim::Exclusive, Claim::Read, Err(shared.clone())),
            (Claim::Exclusive, Claim::Glance, Err(shared)),
            (Claim::Exclusive, Claim::Nothing, Ok(())),
            (Claim::Read, Claim::Exclusive, Err(write)),
        ];
        for (first, second, expected) in pairs {
            assert_eq!(claims(first, second), expected, "{first:?} then {second:?}");
        }
    }

    #[test]
    fn readers_share() {
        assert_eq!(claims(Claim::Read, Claim::Glance), Ok(()));
        assert_eq!(claims(Claim::Glance, Claim::Read), Ok(()));
        assert_eq!(claims(Claim::Read, Claim::Read), Ok(()));
    }

    #[test]
    fn a_lock_ends_with_its_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let first = File::open(file.path()).expect("opens");
        lock(&first, Claim::Read).expect("free");
        drop(first);
        assert_eq!(lock(file.as_file(), Claim::Exclusive), Ok(()));
    }
}
