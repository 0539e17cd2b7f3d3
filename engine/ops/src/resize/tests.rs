//! A refusal comes before the first write.

extern crate std;

use super::*;
use crate::testing::{REFTABLE, fresh_qcow2};
use crate::{ImageError, Preallocation, SCRATCH_LEN, SizeRequest};

fn shrink(disk: &mut crate::testing::MemDisk) -> Result<ResizeOutcome, OpError> {
    let size = SizeRequest::Absolute(512 << 10);
    let request = ResizeRequest {
        format: None,
        size,
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    resize(disk, &request, &mut std::vec![0; SCRATCH_LEN])
}

/// What a shrink releases is counted by the first block; that another one lies nowhere shows only when the file is cut.
#[test]
fn a_refcount_block_past_the_end_is_refused_before_the_size_changes() {
    let mut disk = fresh_qcow2();
    disk.put64(REFTABLE + 8 * 5, 1 << 40);
    let before = disk.bytes.clone();
    let refused = ImageError::RefcountTableEntry { entry: 1 << 40, index: 5 };
    assert_eq!(shrink(&mut disk), Err(refused.into()));
    assert!(disk.bytes == before);
    disk.put64(REFTABLE + 8 * 5, 0);
    assert_eq!(shrink(&mut disk).unwrap().new_virtual_size, 512 << 10);
}
