//! How many files this process may have open: a split disk can be in thousands.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides those that a disk is in: streams, the image and its copy, what a virtual machine takes.
const OTHERS: u64 = 64;

/// Has the kernel allow `count` files and a few more, or as many as it lets this process ask for. Whoever opens more is told.
pub fn allow(count: usize) {
    let wanted = (count as u64).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    if let Some(current) = raised(limit, wanted) {
        // Without it as many can be opened as before, and the first that cannot is named.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    }
}

/// What the limit becomes so that `wanted` files can be open, if it is less and may be raised.
fn raised(limit: Rlimit, wanted: u64) -> Option<u64> {
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    limit.current.filter(|current| *current < most).map(|_| most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_lowered_and_never_beyond_what_is_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(raised(limit(Some(1024), Some(4096)), 2000), Some(2000));
        assert_eq!(raised(limit(Some(1024), None), 2000), Some(2000));
        assert_eq!(raised(limit(Some(1024), Some(1500)), 2000), Some(1500));
        assert_eq!(raised(limit(Some(1024), Some(1024)), 2000), None);
        assert_eq!(raised(limit(Some(3000), Some(4096)), 2000), None);
        assert_eq!(raised(limit(None, None), 2000), None);
    }
}
