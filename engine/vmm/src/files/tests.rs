//! Requests that stay in their window, and requests that do not.

use super::*;
use instar_abi::layout::Windows;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// First sector of a file among three.
fn window(file: u64) -> u64 {
    Windows::of(3).first(file)
}

fn file(byte: u8) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&[byte; 1024], 0).unwrap();
    file
}

/// An image, its data file and a file behind them that is only to be read.
fn three(files: &[File; 3]) -> Files<'_> {
    let [image, data, backing] = files;
    let mut all = Files::with_data_file(
        Image::new(image, 1024, 4096, false),
        Some(Image::new(data, 1024, 2048, false)),
    );
    all.push(Image::new(backing, 1024, 1024, true));
    all
}

fn read(files: &mut Files<'_>, sector: u64, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![9; len];
    // SAFETY: the vector is writable for its length.
    let done = unsafe { files.read(sector, Buffer { at: bytes.as_mut_ptr(), len }) };
    done.then_some(bytes)
}

fn write(files: &mut Files<'_>, sector: u64, len: usize) -> bool {
    let mut bytes = vec![9; len];
    // SAFETY: the vector is readable for its length.
    unsafe { files.write(sector, Buffer { at: bytes.as_mut_ptr(), len }) }
}

fn errno(files: &Files<'_>) -> i32 {
    files.seen().failure.map_or(0, |failure| failure.errno.cast_signed())
}

#[test]
fn each_window_is_its_file() {
    let on_disk = [file(1), file(2), file(3)];
    let mut files = three(&on_disk);
    for (number, byte) in (0..3).zip(1..) {
        assert_eq!(read(&mut files, window(number) + 1, 512), Some(vec![byte; 512]));
        assert_eq!(read(&mut files, window(number) + 2, 512), Some(vec![0; 512]), "past its end");
    }
    assert!(write(&mut files, window(1) + 3, 512) && files.flush());
    let seen = files.seen();
    assert_eq!((seen.written_end, seen.data_written_end, seen.writes), (0, 2048, 1));
    assert_eq!(on_disk.each_ref().map(|file| file.metadata().unwrap().len()), [1024, 2048, 1024]);
    assert_eq!((files.image_capacity(), files.capacity()), (8, (2 << 54) + 2));
}

#[test]
fn what_is_behind_the_image_is_not_written() {
    let on_disk = [file(1), file(2), file(3)];
    let mut files = three(&on_disk);
    assert!(!write(&mut files, window(2), 512));
    assert_eq!(errno(&files), libc::EROFS);
    assert!(!files.zero(window(2), 512, true));
    let mut bytes = [0; 1024];
    on_disk[2].read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!((bytes, files.seen().writes), ([3; 1024], 0));
}

#[test]
fn there_is_no_fourth_file() {
    for number in [3, 4, 1023] {
        let on_disk = [file(1), file(2), file(3)];
        let mut files = three(&on_disk);
        assert_eq!(read(&mut files, window(number), 512), None);
        assert!(!write(&mut files, window(number), 512) && !files.zero(window(number), 512, false));
        assert_eq!(errno(&files), libc::ENXIO);
    }
}

/// Far out in a window are zeros; what begins there does not go on in the next file.
#[test]
fn a_window_ends_where_it_ends() {
    let on_disk = [file(1), file(2), file(3)];
    let mut files = three(&on_disk);
    let last = Windows::of(3).sectors() - 1;
    assert_eq!(read(&mut files, last - 1, 512), Some(vec![0; 512]));
    assert_eq!(errno(&files), 0);
    assert_eq!(read(&mut files, last, 1024), None);
    assert_eq!(errno(&files), libc::EFBIG);
    assert!(!write(&mut files, last, 1024) && !files.zero(last, 1024, false));
    assert!(!files.zero(0, u64::from(u32::MAX) * SECTOR, true), "beyond the limit");
    assert_eq!(read(&mut files, window(1), 512), Some(vec![2; 512]));
    assert_eq!(files.seen().writes, 0);
}

#[test]
fn a_write_stays_below_the_limit_of_its_own_file() {
    let on_disk = [file(1), file(2), file(3)];
    let mut files = three(&on_disk);
    assert!(write(&mut files, 4, 512), "the image's limit");
    assert!(!write(&mut files, window(1) + 4, 512), "the data file's");
    assert_eq!(on_disk[1].metadata().unwrap().len(), 1024);
}

/// With more files than fit whole, windows are smaller; no request leaves its own.
#[test]
fn many_files_have_smaller_windows() {
    let (image, extent) = (file(1), file(2));
    let mut files = Files::only(Image::new(&image, 1024, 4096, false));
    for _ in 0..1500 {
        files.push(Image::new(&extent, 1024, 1024, true));
    }
    let windows = Windows::of(1501);
    assert_eq!(windows.sectors(), 1 << 52);
    assert_eq!(read(&mut files, windows.first(1500), 512), Some(vec![2; 512]));
    assert_eq!(read(&mut files, windows.sectors() - 1, 512), Some(vec![0; 512]));
    assert_eq!(errno(&files), 0);
    assert_eq!(read(&mut files, windows.sectors() - 1, 1024), None);
    assert_eq!(errno(&files), libc::EFBIG);
    assert_eq!(files.capacity(), windows.first(1500) + 2);
}
