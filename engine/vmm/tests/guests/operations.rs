//! The operations through a guest, on images small enough to know by heart.

use crate::Body;
use instar_vmm::Kvm;

pub const TRIALS: &[(&str, Body)] = &[];

#[expect(dead_code)]
fn unused(_: Kvm) {}
