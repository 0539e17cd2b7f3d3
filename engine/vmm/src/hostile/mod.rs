//! The host without a guest, for whoever plays one: what fuzzers feed to the places where the host touches what a guest
//! wrote. Each panics when something does not hold, and returns otherwise.

mod report;
mod request;
mod script;

pub use report::{report, reports};
pub use request::{request, requests};

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd as _;
use std::os::unix::fs::FileExt as _;

/// Bytes of a file before a job.
const LEN: usize = 4096;
/// What its bytes are.
const FILL: u8 = 7;

/// Files of this thread, in memory: the image, and one that may only be read.
struct Files {
    image: File,
    behind: File,
}

thread_local! {
    static FILES: RefCell<Option<Files>> = const { RefCell::new(None) };
}

fn in_memory() -> io::Result<File> {
    // SAFETY: the name is a string that ends with a zero.
    let fd = unsafe { libc::memfd_create(c"image".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

impl Files {
    fn new() -> io::Result<Self> {
        let files = Self { image: in_memory()?, behind: in_memory()? };
        files.behind.write_all_at(&[FILL; LEN], 0)?;
        Ok(files)
    }

    fn renew(&self) -> io::Result<()> {
        self.image.set_len(0)?;
        self.image.write_all_at(&[FILL; LEN], 0)
    }

    fn is_as_it_was(file: &File) -> bool {
        let mut bytes = [0; LEN];
        let len = file.metadata().map(|m| m.len()).unwrap_or_default();
        len == LEN as u64 && file.read_exact_at(&mut bytes, 0).is_ok() && bytes == [FILL; LEN]
    }
}

/// Has `job` done with this thread's files, as they are before any job. The one behind the image must stay so.
fn with_files(job: impl FnOnce(&Files)) {
    FILES.with_borrow_mut(|files| {
        let files = files.get_or_insert_with(|| Files::new().expect("files in memory"));
        files.renew().expect("a file in memory");
        job(files);
        assert!(Files::is_as_it_was(&files.behind), "a file that is only to be read was changed");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_do_what_they_are_for() {
        reports().iter().for_each(|seed| report(seed));
        requests().iter().for_each(|seed| request(seed));
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        let mut state = 1_u64;
        let mut next = || {
            // Knuth's multiplier: any full-period generator would do.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()
        };
        for round in 0..3000 {
            let mut seed =
                [reports(), requests()].concat().swap_remove(round % (reports().len() + requests().len()));
            for _ in 0..3 {
                let [a, b, value, ..] = next();
                let at = usize::from(u16::from_be_bytes([a, b])) % seed.len();
                seed[at] = value;
            }
            report(&seed);
            request(&seed);
        }
    }
}
