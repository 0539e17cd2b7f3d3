//! One resize in guests: the jobs that it takes, each on files of its own making, and what their device was asked for.

use instar_ops::{Format, ResizeOutcome, ResizeRequest};
use instar_vmm::{Change, Kvm, LayerFiles, Observer, Others};
use oracle_crash::{Beside, Failure, Files, Image, Op, Stop, Trace, Worker};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which change or flush fails, and how.
#[derive(Debug, Clone, Copy)]
pub struct Fate {
    /// Its number among those of all jobs, counted from 0.
    pub call: usize,
    /// How.
    pub failure: Failure,
}

/// Does the jobs of one resize in guests.
pub struct Guest<'d> {
    dir: &'d Path,
    fate: Option<Fate>,
    notes: Arc<Mutex<Notes>>,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Notes {
    trace: Trace,
    /// Every change and flush of any file: whether it is a flush.
    calls: Vec<bool>,
}

impl<'d> Guest<'d> {
    /// In the directory `dir`; one call may be fated to fail.
    pub fn new(dir: &'d Path, fate: Option<Fate>) -> Self {
        let notes = Notes { trace: Trace::new(), calls: Vec::new() };
        Self { dir, fate, notes: Arc::new(Mutex::new(notes)) }
    }

    /// The trace of all jobs, and the calls of their devices: whether each is a flush.
    ///
    /// # Errors
    /// Somebody looks on still.
    pub fn seen(self) -> Result<(Trace, Vec<bool>), String> {
        let notes = Arc::into_inner(self.notes).ok_or("a guest is watched still")?;
        let Notes { trace, calls } = notes.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((trace, calls))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a job on these files.
    fn observer(&self, files: Vec<Watched>) -> Observer {
        let (notes, fate) = (Arc::clone(&self.notes), self.fate);
        Observer::of_all(move |file, change| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            let now = notes.calls.len();
            notes.calls.push(change == Change::Flush);
            let watched = files.get(file)?;
            match fate {
                Some(Fate { call, failure }) if now == call || (now > call && failure.lasts()) => {
                    Some(fault(&watched.path, change, failure))
                }
                _ => {
                    notes.trace.note(watched, change);
                    None
                }
            }
        })
    }
}

/// A file of a job, in the order in which the device has them.
struct Watched {
    path: PathBuf,
    /// Its number in the image; none if nobody misses what is not written to it.
    number: Option<usize>,
    /// Whether it is flushed behind all others.
    is_last: bool,
}

trait Note {
    fn note(&mut self, file: &Watched, change: Change<'_>);
}

impl Note for Trace {
    /// A guest's flush is one of all its files, and the image's own comes last.
    fn note(&mut self, file: &Watched, change: Change<'_>) {
        let op = match change {
            Change::Write { offset, data } => Op::Write { offset, data: data.to_vec() },
            Change::Zero { offset, len, unmap } => Op::Zero { offset, len, unmap },
            Change::Flush if file.is_last => return self.flush(),
            Change::Flush => return,
        };
        if let Some(number) = file.number {
            self.push(op.of_file(number));
        }
    }
}

/// Does what a change that fails like that still does, and gives its errno.
fn fault(path: &Path, change: Change, failure: Failure) -> i32 {
    if let (Change::Write { offset, data }, Failure::Short(_)) = (change, failure)
        && let Ok(file) = OpenOptions::new().write(true).open(path)
    {
        // If it cannot be written, the fault is one that leaves nothing: as good as another.
        let _ = file.write_all_at(&data[..Failure::landed(data.len())], offset);
    }
    let (Failure::Errno(errno) | Failure::Short(errno)) = failure;
    errno.cast_signed()
}

/// A file on the host while a job lasts.
struct OnHost<'i> {
    image: &'i mut Image,
    path: PathBuf,
    file: File,
}

impl<'i> OnHost<'i> {
    fn new(image: &'i mut Image, path: PathBuf) -> io::Result<Self> {
        image.store_to(&File::create(&path)?)?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { image, path, file })
    }

    fn back(self) -> io::Result<()> {
        self.image.take_over(Image::load(&self.path)?);
        Ok(())
    }
}

impl Worker for Guest<'_> {
    fn resize(&mut self, files: Files<'_>, request: &ResizeRequest) -> Result<ResizeOutcome, Stop> {
        self.run(files, request).unwrap_or_else(|why| Err(Stop::Broken(why)))
    }

    fn note(&mut self, op: Op) {
        self.notes().trace.push(op);
    }

    fn flush(&mut self) {
        self.notes().trace.flush();
    }
}

impl Guest<'_> {
    fn run(
        &mut self,
        files: Files<'_>,
        request: &ResizeRequest,
    ) -> Result<Result<ResizeOutcome, Stop>, String> {
        let io = |e: io::Error| e.to_string();
        let mut stage = Stage { dir: self.dir, watched: Vec::new() };
        let own = stage.place(files.own, (!files.is_copy).then_some(0)).map_err(io)?;
        let data_file = files.data_file.map(|(number, file)| stage.place(file, Some(number)));
        let data_file = data_file.transpose().map_err(io)?;
        let layers = stage.layers(files.beside).map_err(io)?;
        let extents = files.extents.into_iter().map(|(number, file)| stage.place(file, Some(number)));
        let extents = extents.collect::<io::Result<Vec<_>>>().map_err(io)?;
        let others = Others {
            data_file: data_file.as_ref().map(|on| &on.file),
            layers: layers
                .iter()
                .map(|layer| LayerFiles { file: (&layer.1).into(), data_file: None, format: layer.0 })
                .collect(),
            detached: false,
            // Whoever resizes has the passphrase; no guest that resizes is given one.
            unlocked: true,
            extents: extents.iter().map(|on| &on.file).collect(),
        };
        let kvm = Kvm::open().map_err(|e| e.to_string())?.observed_by(self.observer(stage.watched));
        let finished = kvm.resize_with(&own.file, &others, request, &mut |_| ());
        let finished = finished.map_err(|e| e.to_string())?;
        for on in std::iter::once(own).chain(data_file).chain(extents) {
            on.back().map_err(io)?;
        }
        Ok(finished.result.map_err(Stop::Op))
    }
}

/// Where the files of a job are put, in the order in which its device has them.
struct Stage<'d> {
    dir: &'d Path,
    watched: Vec<Watched>,
}

impl Stage<'_> {
    fn path(&mut self, name: &str, number: Option<usize>) -> PathBuf {
        let path = self.dir.join(name);
        self.watched.push(Watched { path: path.clone(), number, is_last: self.watched.is_empty() });
        path
    }

    fn place<'i>(&mut self, image: &'i mut Image, number: Option<usize>) -> io::Result<OnHost<'i>> {
        let name = format!("guest.{}", number.unwrap_or(0));
        OnHost::new(image, self.path(&name, number))
    }

    /// What is behind the image, which is only read.
    fn layers(&mut self, beside: &Beside) -> io::Result<Vec<(Format, File)>> {
        beside.store(self.dir)?;
        let open = |(format, name): (Format, String)| Ok((format, File::open(self.path(&name, None))?));
        beside.layers().map(open).collect()
    }
}
