//! Where the guest begins: sets the device up, fills the call table, calls the operation.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod blk;
#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod outbox;

/// The guest's first instruction, in ring 3 on the stack that the host set up.
#[cfg(target_os = "none")]
// SAFETY: no other item of the binary has this name, and the section is the linker script's.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".entry")]
extern "C" fn _start() -> ! {
    // SAFETY: the host starts the guest here, once.
    unsafe { calls::fill(&blk::start()) };
    // SAFETY: the host loads an operation whose entry point is its first byte.
    let operation: extern "C" fn() = unsafe {
        core::mem::transmute(core::ptr::with_exposed_provenance::<()>(
            instar_abi::layout::OPERATION.address(),
        ))
    };
    operation();
    outbox::exit()
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    outbox::panic(instar_guest::Text::of(info).as_bytes())
}

#[cfg(not(target_os = "none"))]
fn main() {}
