//! `create -o help`: the options that a new image can have, in `qemu-img`'s words.

use crate::image::format_name;
use instar_ops::Format;

/// The name of an option with the type of its value, and what it is for.
type Line = (&'static str, &'static str);

const BACKING_FILE: Line = ("backing_file=<str>", "File name of a base image");
const SIZE: Line = ("size=<size>", "Virtual disk size");

/// Options of the file, whatever its format.
const FILE: &[Line] = &[
    ("extent_size_hint=<size>", "Extent size hint for the image file, 0 to disable"),
    ("nocow=<bool (on/off)>", "Turn off copy-on-write (valid only on btrfs)"),
    ("preallocation=<str>", "Preallocation mode (allowed values: off, falloc, full)"),
];

const QCOW2: &[Line] = &[
    BACKING_FILE,
    ("backing_fmt=<str>", "Image format of the base image"),
    ("cluster_size=<size>", "qcow2 cluster size"),
    ("compat=<str>", "Compatibility level (v2 [0.10] or v3 [1.1])"),
    ("compression_type=<str>", "Compression method used for image cluster compression"),
    ("data_file=<str>", "File name of an external data file"),
    ("data_file_raw=<bool (on/off)>", "The external data file must stay valid as a raw image"),
    ("extended_l2=<bool (on/off)>", "Extended L2 tables"),
    ("lazy_refcounts=<bool (on/off)>", "Postpone refcount updates"),
    ("preallocation=<str>", "Preallocation mode (allowed values: off, metadata, falloc, full)"),
    ("refcount_bits=<num>", "Width of a reference count entry in bits"),
    SIZE,
];

const VHD: &[Line] = &[
    (
        "force_size=<bool (on/off)>",
        "Force disk size calculation to use the actual size specified, rather than using the nearest CHS-based \
         calculation",
    ),
    SIZE,
    (
        "subformat=<str>",
        "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} ",
    ),
];

const VHDX: &[Line] = &[
    ("block_size=<size>", "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size."),
    (
        "block_state_zero=<bool (on/off)>",
        "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set to 'off' when using \
         'qemu-img convert' with subformat=dynamic.",
    ),
    ("log_size=<size>", "Log size; min 1MB."),
    ("size=<size>", "Virtual disk size; max of 64TB."),
    ("subformat=<str>", "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'."),
];

const VMDK: &[Line] = &[
    (
        "adapter_type=<str>",
        "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX",
    ),
    BACKING_FILE,
    ("backing_fmt=<str>", "Must be 'vmdk' if present"),
    ("compat6=<bool (on/off)>", "VMDK version 6 image"),
    ("hwversion=<str>", "VMDK hardware version"),
    SIZE,
    (
        "subformat=<str>",
        "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | \
         twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} ",
    ),
    ("toolsversion=<str>", "VMware guest tools version"),
    ("zeroed_grain=<bool (on/off)>", "Enable efficient zero writes using the zeroed-grain GTE feature"),
];

/// Whether any of the lists of options asks for help.
pub fn is_asked(lists: &[String]) -> bool {
    lists.iter().flat_map(|list| list.split(',')).any(|item| matches!(item, "help" | "?"))
}

/// What `-o help` prints of this format, with the options of the file too if there is one by name.
pub fn text(format: Format, with_file: bool) -> String {
    let own = match format {
        Format::Qcow2 => QCOW2,
        Format::Vhd => VHD,
        Format::Vhdx => VHDX,
        Format::Vmdk => VMDK,
        Format::Raw | Format::Luks | Format::Qed => &[SIZE],
    };
    let mut all = own.to_vec();
    let key = |line: &Line| line.0.split('=').next().unwrap_or_default();
    if with_file {
        all.extend(FILE.iter().filter(|line| own.iter().all(|other| key(other) != key(line))));
        all.sort_by_key(key);
    }
    let lines: String = all.iter().map(|(option, what)| format!("  {option:<22} - {what}\n")).collect();
    match with_file {
        true => format!("Supported options:\n{lines}"),
        false => format!(
            "Supported {} options:\n{lines}\nThe protocol level may support further options.\nSpecify the target \
             filename to include those options.\n",
            format_name(format)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_may_be_anywhere_in_a_list() {
        let asked =
            |lists: &[&str]| is_asked(&lists.iter().map(|list| (*list).to_owned()).collect::<Vec<_>>());
        assert!(asked(&["help"]) && asked(&["a=1", "b=2,?"]) && asked(&["help,a=1"]));
        assert!(!asked(&[]) && !asked(&["helpx", "a=help", "help=on"]));
    }

    #[test]
    fn an_option_of_format_and_file_is_the_format_s() {
        let text = text(Format::Qcow2, true);
        assert_eq!(text.matches("preallocation=").count(), 1);
        assert!(text.contains("off, metadata, falloc") && text.contains("  nocow=<bool (on/off)>  - Turn"));
    }
}
