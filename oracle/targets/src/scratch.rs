//! The working memory of instar's operations, kept from one run to the next: clearing 16 MiB would take longer than a run.

use instar_ops::SCRATCH_LEN;
use std::cell::RefCell;

/// What it holds before the first run: as good as anything that an earlier one could have left.
const LEFT_OVER: u8 = 0xa5;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![LEFT_OVER; SCRATCH_LEN]);
}

/// Does `job` with this thread's memory. Jobs do not nest.
pub fn with<T>(job: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| job(scratch))
}
