//! The targets by name.

use crate::{case, crash, open, read, resize, size};
use instar_ops::Format;

/// What a fuzzer runs.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its program, and of its directory of seeds.
    pub name: &'static str,
    /// What must hold, in a few words.
    pub about: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:literal, $about:literal, $run:expr;)*) => {
        /// All of them.
        pub const ALL: &[Target] = &[$(Target { name: $name, about: $about, run: $run }),*];
    };
}

targets! {
    "resize_raw", "a resize of a raw file", |data| resize::run(Format::Raw, data);
    "resize_qcow2", "a resize of any qcow2 image", |data| resize::run(Format::Qcow2, data);
    "resize_qed", "a resize of any QED image", |data| resize::run(Format::Qed, data);
    "resize_luks", "a resize of any LUKS image", |data| resize::run(Format::Luks, data);
    "resize_vhd", "a resize of any VHD image", |data| resize::run(Format::Vhd, data);
    "resize_vhdx", "a resize of any VHDX image", |data| resize::run(Format::Vhdx, data);
    "resize_vmdk", "a resize of any VMDK image", |data| resize::run(Format::Vmdk, data);
    "open_any", "info and check of bytes of unknown format", |data| open::run(None, data);
    "open_qcow2", "info, check and repair of bytes as qcow2", |data| open::run(Some(Format::Qcow2), data);
    "open_qed", "info and check of bytes as QED", |data| open::run(Some(Format::Qed), data);
    "open_luks", "info of bytes as LUKS", |data| open::run(Some(Format::Luks), data);
    "open_vhd", "info, check and repair of bytes as VHD", |data| open::run(Some(Format::Vhd), data);
    "open_vhdx", "info, check and repair of bytes as VHDX", |data| open::run(Some(Format::Vhdx), data);
    "open_vmdk", "info, check and repair of bytes as VMDK", |data| open::run(Some(Format::Vmdk), data);
    "read_qcow2", "a qcow2 disk read as another reader reads it", read::run;
    "guest_report", "what a hostile guest does and says", instar_vmm::hostile::report;
    "virtio_request", "what a hostile driver asks of the block device", instar_vmm::hostile::request;
    "size_argument", "a size on the command line", size::run;
    "crash_states", "a crash anywhere in a resize of a clean qcow2 image", crash::run;
    "resize_case", "a case of the oracle, with its crash states", case::run;
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|target| target.name == name)
    }
}

/// Runs the target of this name once. A name that there is not is a mistake in the caller.
pub fn run(name: &str, data: &[u8]) {
    let target = Target::named(name).unwrap_or_else(|| panic!("no target {name}"));
    (target.run)(data);
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
