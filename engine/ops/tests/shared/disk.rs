//! An image file that a resize writes to, and the resize itself.

use instar_ops::disk::{Direction, IoError};
use instar_ops::{Disk, Preallocation, ReadAt, ResizeRequest, SCRATCH_LEN, SizeRequest, resize};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

struct FileDisk {
    file: File,
    len: u64,
}

fn failed(direction: Direction, offset: u64, len: usize) -> IoError {
    IoError { direction, offset, len: len as u64, errno: 5 }
}

impl ReadAt for FileDisk {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(_) => return Err(failed(Direction::Read, offset, buf.len())),
            }
        }
        buf[done..].fill(0);
        Ok(())
    }
}

impl Disk for FileDisk {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.file.write_all_at(data, offset).map_err(|_| failed(Direction::Write, offset, data.len()))
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        let zeros = vec![0; 1 << 20];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(1 << 20);
            self.write_at(offset + done, &zeros[..usize::try_from(n).unwrap()])?;
            done += n;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// Resizes the image at `path` with the engine, and gives the file its length.
pub fn engine_resize(path: &Path, size: u64, preallocation: Preallocation) -> Result<(), Box<dyn Error>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    let mut disk = FileDisk { file, len };
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(size),
        shrink: true,
        preallocation,
        identity: Default::default(),
    };
    let outcome = resize(&mut disk, &request, &mut vec![0x5a; SCRATCH_LEN])?;
    disk.file.set_len(outcome.file_size_after)?;
    Ok(())
}
