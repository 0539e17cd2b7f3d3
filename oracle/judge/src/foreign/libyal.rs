//! `vhdiinfo` of libvhdi and `vmdkinfo` of libvmdk, which tell the size of a disk.

use super::{Foreign, Wrong, complaint, missing, run};
use crate::subject::IMAGE;
use crate::{Desk, JudgeError, State};
use oracle_case::{Content, FormatOptions};

/// See the module.
pub struct Libyal;

fn program(format: &FormatOptions) -> &'static str {
    if format.vmdk().is_some() { "vmdkinfo" } else { "vhdiinfo" }
}

impl Foreign for Libyal {
    fn unable(&self, format: &FormatOptions, _: &State, _: u64) -> Option<String> {
        missing(program(format))
    }

    fn look(
        &self,
        _: &Desk,
        format: &FormatOptions,
        image: &State,
        content: &Content,
    ) -> Result<Option<Wrong>, JudgeError> {
        let ran = run(program(format), &image.dir, &[IMAGE])?;
        if !ran.success() {
            return Ok(Some(Wrong::failed(complaint(&ran))));
        }
        Ok(Wrong::size(media_size(&ran.stdout), content))
    }
}

/// The size in bytes that an answer tells: `Media size: 24 MiB (25165824 bytes)`, or `512 bytes`.
fn media_size(answer: &str) -> Option<u64> {
    let (_, rest) = answer.split_once("Media size")?;
    let (before, _) = rest.lines().next()?.split_once(" bytes")?;
    before.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let told = "Disk:\n\tMedia size:\t\t24 MiB (25165824 bytes)\n\tDisk type: 3\n";
        assert_eq!(media_size(told), Some(25_165_824));
        assert_eq!(media_size("\tMedia size\t\t: 512 bytes\n"), Some(512));
        assert_eq!(media_size("\tMedia size:\t\t24 MiB\n512 bytes"), None);
        assert_eq!(media_size("nothing"), None);
    }
}
