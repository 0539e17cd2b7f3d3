//! A virtual machine monitor for one job on one disk image.
//!
//! A job goes through these rooms, top to bottom:
//!
//! 1. [`Kvm`] takes a request and a file and knows which binary does it.
//! 2. `machine` allocates `memory`, loads the binaries (`segments`), sets the processor up (`cpu`)
//!    and runs it: in ring 3 from its first instruction, with nothing but memory and three pages of
//!    device registers.
//! 3. `block` serves the guest's requests from the `files` of the `image`, each in its window and up
//!    to its `limit`; `mailbox` decodes what the guest says; `watchdog` ends a guest that does not.
//! 4. `apart` does that in a process of its own, which `confine` leaves nothing but these files, if the caller
//!    wants it so.
//! 5. `believe` compares the result with what the host saw.
//!
//! The host never looks into an image: what a guest makes of it can at worst be refused.

mod answers;
mod apart;
mod believe;
mod binaries;
mod block;
mod confine;
mod cpu;
mod error;
mod extents;
mod files;
pub mod hostile;
mod image;
mod kvm;
mod limit;
mod machine;
mod mailbox;
mod memory;
mod observe;
mod operations;
mod others;
mod reveal;
mod segments;
mod watchdog;
mod window;

pub use confine::allowed_calls;
pub use error::{ErrorKind, Fault, FaultCause, VmmError};
pub use kvm::{Finished, Kvm, Limits, Stats};
pub use observe::{Change, Observer};
pub use others::{LayerFiles, Others};
pub use window::Window;
