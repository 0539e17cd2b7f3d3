//! Resize, create, inspect and check virtual disk images inside a KVM guest.
