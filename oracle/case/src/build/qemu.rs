//! Images made by `qemu-img create` and one call of `qemu-io`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{BuildError, Tools};
use crate::child::Tool;
use crate::{Fixture, FormatOptions, Qcow2, Tweak, Write, WriteKind};

/// How long one call may take: far more than any legal case needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes the image.
pub fn make(fixture: &Fixture, path: &Path, tools: &Tools) -> Result<(), BuildError> {
    if fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::RefcountHole { .. })) {
        return Err(BuildError::Illegal("qemu-img leaves no hole in a refcount table"));
    }
    call(&tools.qemu_img, create_args(fixture, path))?;
    if fixture.writes.is_empty() {
        return Ok(());
    }
    call(&tools.qemu_io, write_args(fixture.format.name(), path, &commands(fixture)))
}

fn create_args(fixture: &Fixture, path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["create", "-q", "-f", fixture.format.name()].map(Into::into).into();
    if let FormatOptions::Qcow2(options) = &fixture.format {
        args.extend(["-o".into(), options.create_options().into()]);
    }
    args.extend([path.into(), fixture.size.to_string().into()]);
    args
}

impl Qcow2 {
    /// The `-o` argument with which `qemu-img create` makes an image of these options.
    pub fn create_options(&self) -> String {
        let mut options = vec![
            format!("compat={}", if self.version == 2 { "0.10" } else { "1.1" }),
            format!("cluster_size={}", self.cluster_size()),
            format!("refcount_bits={}", self.refcount_bits),
        ];
        for (on, option) in [
            (self.lazy_refcounts, "lazy_refcounts=on"),
            (self.extended_l2, "extended_l2=on"),
            (self.zstd, "compression_type=zstd"),
            (self.preallocated, "preallocation=metadata"),
        ] {
            if on {
                options.push(option.to_owned());
            }
        }
        options.join(",")
    }
}

impl Write {
    /// The `qemu-io` commands that carry the write out; `cluster` is the unit of a compressed one, in bytes.
    pub fn qemu_io_commands(&self, cluster: u64) -> Vec<String> {
        let Self { kind, pattern, offset, len } = self;
        match kind {
            WriteKind::Data => vec![format!("write -q -P {pattern} {offset} {len}")],
            WriteKind::Zero => vec![format!("write -q -z {offset} {len}")],
            WriteKind::Unmap => vec![format!("write -q -z -u {offset} {len}")],
            WriteKind::Discard => vec![format!("discard -q {offset} {len}")],
            WriteKind::Compressed => (0..len / cluster)
                .map(|place| format!("write -q -c -P {pattern} {} {cluster}", offset + place * cluster))
                .collect(),
        }
    }
}

fn commands(fixture: &Fixture) -> Vec<String> {
    let cluster = fixture.format.qcow2().map_or(1, Qcow2::cluster_size);
    fixture.writes.iter().flat_map(|write| write.qemu_io_commands(cluster)).collect()
}

/// A crash of the machine may take a fixture with it: nothing is flushed.
fn write_args(format: &str, path: &Path, commands: &[String]) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-t", "unsafe", "-f", format].map(Into::into).into();
    for command in commands {
        args.extend(["-c".into(), command.into()]);
    }
    args.push(path.into());
    args
}

/// Runs a tool that must succeed without a word.
fn call(tool: &Tool, args: Vec<OsString>) -> Result<(), BuildError> {
    let command = tool.command(args.clone());
    let output = tool
        .run(args, DEADLINE)
        .map_err(|source| BuildError::Start { program: tool.program.clone(), source })?;
    // qemu-io says on stdout what failed, and its exit code was not always true.
    if output.success() && output.stdout.is_empty() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(BuildError::Tool { command: format!("{command:?}"), output: Box::new(output) })
}
