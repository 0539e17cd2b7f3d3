//! What makes an image unlike every other one. Guests have neither entropy nor a clock.

use crate::error::CliError;
use instar_ops::Identity;
use rustix::rand::{GetRandomFlags, getrandom};
use std::time::{SystemTime, UNIX_EPOCH};

/// Random bytes and the time.
///
/// # Errors
/// [`CliError::Refused`] if the kernel has no random bytes.
pub fn fresh() -> Result<Identity, CliError> {
    let mut identity = Identity::default();
    let failed = |why: std::io::Error| {
        CliError::Refused(format!("Could not get random bytes: {}", crate::message::errno_text(&why)))
    };
    // Requests of up to 256 bytes are never cut short.
    let got = getrandom(&mut identity.random, GetRandomFlags::empty()).map_err(|e| failed(e.into()))?;
    if got != identity.random.len() {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
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
