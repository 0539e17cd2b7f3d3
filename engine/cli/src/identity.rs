//! What makes an image unlike every other one. Guests have neither entropy nor a clock.

use crate::error::CliError;
use instar_ops::Identity;
use std::time::{SystemTime, UNIX_EPOCH};

/// Random bytes and the time.
///
/// # Errors
/// [`CliError::Refused`] if the kernel has no random bytes.
pub fn fresh() -> Result<Identity, CliError> {
    let mut identity = Identity::default();
    let room = identity.random.len();
    // SAFETY: the buffer is ours and has room for so many bytes, which is all that is written.
    let got = unsafe { libc::getrandom(identity.random.as_mut_ptr().cast(), room, 0) };
    // Requests of up to 256 bytes are never cut short.
    if usize::try_from(got) != Ok(room) {
        let why = crate::message::errno_text(&std::io::Error::last_os_error());
        return Err(CliError::Refused(format!("Could not get random bytes: {why}")));
    }
    // A clock before 1970 knows no better time.
    identity.unix_time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (one, other) = (fresh().expect("random bytes"), fresh().expect("random bytes"));
        assert_ne!(one.random, other.random);
        assert!(one.unix_time > 1_700_000_000);
    }
}
