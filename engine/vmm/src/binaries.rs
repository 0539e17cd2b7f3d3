//! The guest's binaries, as the build script built them.

/// A binary of the guest.
#[derive(Debug, Clone, Copy)]
pub struct Binary {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its ELF file.
    pub bytes: &'static [u8],
}

macro_rules! binary {
    ($name:literal) => {
        Binary { name: $name, bytes: include_bytes!(concat!(env!("INSTAR_GUEST_DIR"), "/", $name)) }
    };
}

/// Entry, device driver and call table.
pub const CORE: Binary = binary!("instar-core");
/// Resizes the image.
pub const RESIZE: Binary = binary!("instar-resize");
/// Describes the image.
pub const INFO: Binary = binary!("instar-info");
/// Checks the image.
pub const CHECK: Binary = binary!("instar-check");
/// Tells whether a passphrase opens the image.
pub const UNLOCK: Binary = binary!("instar-unlock");
/// Lays out a new image.
pub const CREATE: Binary = binary!("instar-create");
