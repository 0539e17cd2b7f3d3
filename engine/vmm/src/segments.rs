//! What a guest binary asks to be loaded. Used by the build script too.

use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use instar_abi::layout::{Area, PAGE};

/// What a page may be used for. Never both written and executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Executed and read.
    Text,
    /// Read.
    Constants,
    /// Read and written.
    Data,
}

/// A part of a binary that is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it lies, in whole pages.
    pub area: Area,
    /// What it begins with; the rest is zeros.
    pub data: &'a [u8],
    /// What it is used for.
    pub usage: Use,
}

/// What `binary` asks to be loaded into `area`, which must hold all of it.
///
/// # Errors
/// What is wrong with the binary.
pub fn segments(binary: &[u8], area: Area) -> Result<Vec<Segment<'_>>, &'static str> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(binary).map_err(|_| "not an ELF file")?;
    if elf.ehdr.e_type != ET_EXEC || elf.ehdr.e_machine != EM_X86_64 {
        return Err("not an executable for x86-64 at a fixed place");
    }
    if elf.ehdr.e_entry != area.base {
        return Err("does not begin with its entry point");
    }
    let headers = elf.segments().ok_or("nothing to load")?;
    let mut end = area.base;
    let mut found = Vec::new();
    for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz != 0) {
        let data = elf.segment_data(&header).map_err(|_| "a segment lies outside the file")?;
        let segment = segment(&header, data)?;
        if segment.area.base < end || segment.area.end() > area.end() {
            return Err("a segment lies outside its place in memory or over another one");
        }
        end = segment.area.end();
        found.push(segment);
    }
    match found.first() {
        Some(first) if first.area.base == area.base && first.usage == Use::Text => Ok(found),
        _ => Err("does not begin with code"),
    }
}

fn segment<'a>(header: &ProgramHeader, data: &'a [u8]) -> Result<Segment<'a>, &'static str> {
    let usage = match (header.p_flags & PF_W != 0, header.p_flags & PF_X != 0) {
        (true, true) => return Err("a segment is both writable and executable"),
        (true, false) => Use::Data,
        (false, true) => Use::Text,
        (false, false) => Use::Constants,
    };
    let len = header.p_memsz.checked_next_multiple_of(PAGE);
    let end = len.and_then(|len| header.p_vaddr.checked_add(len));
    match (len, end) {
        (Some(len), Some(_)) if header.p_vaddr.is_multiple_of(PAGE) && header.p_filesz <= header.p_memsz => {
            Ok(Segment { area: Area { base: header.p_vaddr, len }, data, usage })
        }
        _ => Err("a segment does not begin at a page, or is longer in the file than in memory"),
    }
}

// The path is the same from the build script, whose module lies elsewhere.
#[cfg(test)]
#[path = "segments/tests.rs"]
mod tests;
