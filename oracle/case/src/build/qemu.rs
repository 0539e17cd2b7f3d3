//! Images made by `qemu-img` and `qemu-io`, and the files that belong to them.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{BuildError, Tools, raw};
use crate::child::{self, Tool};
use crate::parts::{DATA_FILE, backing_name, part_name};
use crate::secret::SECRET;
use crate::{
    Backing, BackingFormat, Bitmap, Fixture, FormatOptions, Qcow2, Qed, Space, Tweak, Write, WriteKind,
};

/// How long one call may take: far more than any legal case needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes the image and what belongs to it, in the directory of `path`.
pub fn make(fixture: &Fixture, path: &Path, tools: &Tools) -> Result<(), BuildError> {
    if fixture.tweaks.iter().any(|tweak| matches!(tweak, Tweak::RefcountHole { .. })) {
        return Err(BuildError::Illegal("qemu-img leaves no hole in a refcount table"));
    }
    let maker = Maker { dir: path.parent().unwrap_or(Path::new(".")), tools };
    let mut args: Vec<OsString> = ["create", "-q", "-f", fixture.format.name()].map(Into::into).into();
    if let FormatOptions::Qcow2(options) = &fixture.format {
        let mut list = options.create_options();
        if let Some(file) = fixture.data_file {
            list += &format!(",data_file={DATA_FILE},data_file_raw={}", if file.raw { "on" } else { "off" });
        }
        if let Some(encrypted) = fixture.format.encryption_options() {
            list += &format!(",{encrypted}");
        }
        args.extend(["-o".into(), list.into()]);
    }
    let others = match &fixture.format {
        FormatOptions::Qed(options) => Some(options.create_options()),
        FormatOptions::Vpc(options) => Some(options.create_options()),
        FormatOptions::Vhdx(options) => Some(options.create_options()),
        FormatOptions::Vmdk(options) => Some(options.create_options()),
        FormatOptions::Luks => fixture.format.encryption_options().map(Into::into),
        FormatOptions::Raw | FormatOptions::Qcow2(_) => None,
    };
    args.extend(others.into_iter().flat_map(|list| ["-o".into(), list.into()]));
    if fixture.format.is_encrypted() {
        args.extend(["--object".into(), SECRET.into()]);
    }
    if let Some(backing) = &fixture.backing {
        args.extend(maker.backing(backing, 0)?);
    }
    args.extend([path.into(), fixture.size.to_string().into()]);
    maker.call(&tools.qemu_img, args)?;
    if fixture.format == FormatOptions::Luks {
        // What was never written reads as noise.
        maker.write(&fixture.format, path, &[format!("write -q -z 0 {}", fixture.size)])?;
    }
    maker.populate(fixture, path)
}

/// Makes images in a directory.
struct Maker<'a> {
    dir: &'a Path,
    tools: &'a Tools,
}

impl Maker<'_> {
    /// Makes the disk behind one at `depth`, and those behind it; the options by which `create` names it.
    fn backing(&self, backing: &Backing, depth: usize) -> Result<Vec<OsString>, BuildError> {
        let name = backing_name(depth);
        let path = self.dir.join(&name);
        match backing.format {
            BackingFormat::Raw => raw::write(&path, backing.size, &backing.content())?,
            BackingFormat::Qcow2 => {
                let mut args: Vec<OsString> = ["create", "-q", "-f", "qcow2"].map(Into::into).into();
                if let Some(below) = &backing.backing {
                    args.extend(self.backing(below, depth + 1)?);
                }
                args.extend([path.clone().into(), backing.size.to_string().into()]);
                self.call(&self.tools.qemu_img, args)?;
                self.write(&FormatOptions::Qcow2(Qcow2::default()), &path, &commands(&backing.writes, 1))?;
            }
        }
        let named = if backing.absolute { path } else { name.into() };
        Ok(vec!["-F".into(), backing.format.name().into(), "-b".into(), named.into()])
    }

    /// Makes the writes of `fixture`, with its snapshots and bitmaps in between.
    fn populate(&self, fixture: &Fixture, path: &Path) -> Result<(), BuildError> {
        let cluster = fixture.format.unit();
        let mut done = 0;
        for count in 0..=fixture.writes.len() {
            let snapshots = (0..).zip(&fixture.snapshots).filter(|(_, snapshot)| snapshot.after == count);
            let bitmaps = (0..).zip(&fixture.bitmaps).filter(|(_, bitmap)| bitmap.after == count);
            let image = opening(&fixture.format, path);
            let mut steps: Vec<Vec<OsString>> = snapshots.map(|(i, _)| snapshot_args(i, &image)).collect();
            steps.extend(bitmaps.map(|(i, bitmap)| bitmap_args(i, bitmap, &image)));
            if !steps.is_empty() || count == fixture.writes.len() {
                self.write(&fixture.format, path, &commands(&fixture.writes[done..count], cluster))?;
                done = count;
            }
            for args in steps {
                self.call(&self.tools.qemu_img, args)?;
            }
        }
        for (i, _) in fixture.bitmaps.iter().enumerate().filter(|(_, bitmap)| bitmap.disabled) {
            let args = ["bitmap", "--disable"].map(Into::into).into_iter();
            let image = opening(&fixture.format, path).into_iter();
            self.call(&self.tools.qemu_img, args.chain(image).chain([part_name('b', i).into()]).collect())?;
        }
        Ok(())
    }

    /// A crash of the machine may take a fixture with it: nothing is flushed.
    fn write(&self, format: &FormatOptions, path: &Path, commands: &[String]) -> Result<(), BuildError> {
        if commands.is_empty() {
            return Ok(());
        }
        let (opening, file) = format.opening(&path.to_string_lossy(), true);
        let mut args: Vec<OsString> = ["-t", "unsafe"].map(Into::into).into();
        args.extend(opening.into_iter().map(Into::into));
        for command in commands {
            args.extend(["-c".into(), command.into()]);
        }
        args.push(file.into());
        self.call(&self.tools.qemu_io, args)
    }

    /// Runs a tool that must succeed without a word, where the names of data files are read from.
    fn call(&self, tool: &Tool, args: Vec<OsString>) -> Result<(), BuildError> {
        let mut command = tool.command(args);
        command.current_dir(self.dir);
        let line = format!("{command:?}");
        let output = child::run(command, DEADLINE)
            .map_err(|source| BuildError::Start { program: tool.program.clone(), source })?;
        // qemu-io says on stdout what failed, and its exit code was not always true.
        if output.success() && output.stdout.is_empty() && output.stderr.is_empty() {
            return Ok(());
        }
        Err(BuildError::Tool { command: line, output: Box::new(output) })
    }
}

/// The words that name an image whose format can be probed, in the order in which they stand.
fn opening(format: &FormatOptions, path: &Path) -> Vec<OsString> {
    let (options, file) = format.opening(&path.to_string_lossy(), false);
    options.into_iter().chain([file]).map(Into::into).collect()
}

fn snapshot_args(index: usize, image: &[OsString]) -> Vec<OsString> {
    let head = ["snapshot".into(), "-c".into(), part_name('s', index).into()];
    head.into_iter().chain(image.iter().cloned()).collect()
}

fn bitmap_args(index: usize, bitmap: &Bitmap, image: &[OsString]) -> Vec<OsString> {
    let granularity = 1u64 << bitmap.granularity_bits.min(31);
    let head = ["bitmap", "--add", "-g"].map(Into::into).into_iter();
    let head = head.chain([granularity.to_string().into()]).chain(image.iter().cloned());
    head.chain([part_name('b', index).into()]).collect()
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
            (self.preallocated && self.space == Space::Sparse, "preallocation=metadata"),
            (self.preallocated && self.space == Space::Falloc, "preallocation=falloc"),
            (self.preallocated && self.space == Space::Full, "preallocation=full"),
        ] {
            if on {
                options.push(option.to_owned());
            }
        }
        options.join(",")
    }
}

impl Qed {
    /// The `-o` argument with which `qemu-img create` makes an image of these options.
    pub fn create_options(&self) -> String {
        format!("cluster_size={},table_size={}", self.cluster_size(), self.table_size)
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

fn commands(writes: &[Write], cluster: u64) -> Vec<String> {
    writes.iter().flat_map(|write| write.qemu_io_commands(cluster)).collect()
}
