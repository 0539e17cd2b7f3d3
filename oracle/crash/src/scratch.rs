//! The working memory of instar's operations, kept between jobs: clearing 16 MiB for each of thousands would take longer
//! than the jobs themselves.

use std::cell::RefCell;

use instar_ops::SCRATCH_LEN;

/// What it holds before its first job: as good as anything that an earlier job could have left.
const LEFT_OVER: u8 = 0xa5;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![LEFT_OVER; SCRATCH_LEN]);
}

/// Does `job` with this thread's memory, in which an earlier one has left what it left. Jobs do not nest.
pub fn with<T>(job: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| job(scratch))
}
