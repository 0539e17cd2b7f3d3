//! What the operations' binaries share: how to reach the call table, the image and the host.
//!
//! The binaries are for `x86_64-unknown-none`; elsewhere their `main` is empty and this library is
//! there to be tested.
#![cfg_attr(not(test), no_std)]

mod guest;
mod layers;
mod misdeed;
pub mod mmio;
mod sectors;
mod shared;
mod text;

pub use guest::{Device, Files, Guest, Host, as_disks};
pub use layers::{LayerDisks, as_layers};
pub use misdeed::Misdeed;
pub use sectors::{SectorDisk, SectorError, Sectors};
pub use shared::SharedDisk;
pub use text::Text;

/// Makes `run`, a `fn(Guest)`, the operation that this binary is.
#[macro_export]
macro_rules! operation {
    ($run:path) => {
        /// Called by core, on the stack that the host gave it.
        #[cfg(target_os = "none")]
        // SAFETY: no other item of the binary has this name, and the section is the linker script's.
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".entry")]
        extern "C" fn _start() {
            // SAFETY: core fills the call table before it comes here, and comes here once.
            $run(unsafe { $crate::Guest::enter() });
        }

        #[cfg(target_os = "none")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::Guest::panic(info)
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            let _: fn($crate::Guest) = $run;
        }
    };
}
