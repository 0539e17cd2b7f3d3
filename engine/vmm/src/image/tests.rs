//! The image on real files.

use super::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

fn buffer(bytes: &mut [u8]) -> Buffer {
    Buffer { at: bytes.as_mut_ptr(), len: bytes.len() }
}

fn file(content: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(content, 0).unwrap();
    file
}

fn read(image: &mut Image<'_>, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![9; len];
    // SAFETY: the vector is writable for its length.
    assert!(unsafe { image.read(offset, buffer(&mut bytes)) });
    bytes
}

fn write(image: &mut Image<'_>, offset: u64, mut bytes: Vec<u8>) -> bool {
    // SAFETY: the vector is readable for its length.
    unsafe { image.write(offset, buffer(&mut bytes)) }
}

#[test]
fn past_the_end_are_zeros() {
    let file = file(&[1; 700]);
    let mut image = Image::new(&file, 700, 4096, true);
    let bytes = read(&mut image, 512, 512);
    assert_eq!((&bytes[..188], &bytes[188..]), (&[1; 188][..], &[0; 324][..]));
    assert_eq!(read(&mut image, 2048, 512), [0; 512]);
    assert_eq!(image.seen.bytes_read, 1024);
}

#[test]
fn writes_make_the_file_longer() {
    let file = file(&[1; 512]);
    let mut image = Image::new(&file, 512, 4096, false);
    assert!(write(&mut image, 1024, vec![2; 512]));
    assert!(image.flush());
    assert_eq!(file.metadata().unwrap().len(), 1536);
    assert_eq!((image.seen.written_end, image.seen.writes, image.seen.flushes), (1536, 1, 1));
}

#[test]
fn beyond_the_limit_there_are_zeros_to_read() {
    let file = file(&[]);
    let mut image = Image::new(&file, 0, 0, true);
    assert_eq!(read(&mut image, 0, 512), [0; 512]);
}

#[test]
fn nothing_is_written_beyond_the_limit() {
    let file = file(&[1; 512]);
    let mut image = Image::new(&file, 512, 1024, false);
    assert!(!write(&mut image, 512, vec![2; 1024]));
    assert!(!image.zero(u64::MAX, 1, true));
    assert_eq!(file.metadata().unwrap().len(), 512);
    let failure = image.seen.failure.unwrap();
    assert_eq!((failure.offset, failure.len, failure.errno), (512, 1024, libc::EFBIG.unsigned_abs()));
}

#[test]
fn what_is_only_to_be_read_is_not_written() {
    let file = file(&[1; 512]);
    let mut image = Image::new(&file, 512, 1024, true);
    assert!(!write(&mut image, 0, vec![2; 512]));
    assert!(!image.zero(0, 512, true));
    assert_eq!(image.seen.failure.unwrap().errno, libc::EROFS.unsigned_abs());
    assert_eq!(image.seen.writes, 0);
}

#[test]
fn zeroing_reads_as_zeros_whatever_the_file_system() {
    for unmap in [false, true] {
        let file = file(&[1; 1 << 16]);
        let mut image = Image::new(&file, 1 << 16, 1 << 20, false);
        assert!(image.zero(512, 4096, unmap));
        image.write_zeros(8192, 512).unwrap();
        let bytes = read(&mut image, 0, 1 << 16);
        for (at, byte) in bytes.into_iter().enumerate() {
            let zero = (512..4608).contains(&at) || (8192..8704).contains(&at);
            assert_eq!(byte, u8::from(!zero), "byte {at}");
        }
    }
}

#[test]
fn a_full_disk_is_named() {
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let mut image = Image::new(&full, file_len(&full).unwrap(), 1 << 20, false);
    assert!(!write(&mut image, 512, vec![2; 512]));
    let failure = image.seen.failure.unwrap();
    assert_eq!((failure.direction, failure.errno), (Direction::Write, libc::ENOSPC.unsigned_abs()));
}
