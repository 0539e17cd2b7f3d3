//! A virtual machine monitor for one job on one disk image.
