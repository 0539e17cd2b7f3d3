//! The processor's state at the guest's first instruction: 64-bit mode, ring 3.
//!
//! Nothing in the guest needs ring 0. Its only code there is the host's own fault stubs: one per
//! exception, each a single write of its vector to a register that ring 3 cannot reach.

use crate::error::VmmError;
use crate::memory::{AFTER_PAGE_TABLES, Memory, PAGE_TABLES};
use crate::segments::Use;
use instar_abi::layout::{self, Area, PAGE};
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

/// PE, MP, ET, NE, WP, PG (control registers: Intel SDM volume 3, section 2.5).
const CR0: u64 = 0x8001_0033;
/// PAE, OSFXSR, OSXMMEXCPT.
const CR4: u64 = 0x620;
/// LME, LMA, NXE.
const EFER: u64 = 0xd00;
/// The bit of RFLAGS that is always set.
const RFLAGS: u64 = 2;

/// Global descriptors by selector / 8 (Intel SDM volume 3, section 3.4.5): 64-bit code and data for
/// rings 0 and 3, then a task state segment of two entries.
const GDT: [u64; 9] = [
    0,
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
    0x0000_8b00_0000_0067 | (TSS_BASE & 0xff_ffff) << 16 | (TSS_BASE >> 24) << 56,
    0,
];
const CODE0: u16 = 0x10;
const DATA3: u16 = 0x28 | 3;
const CODE3: u16 = 0x30 | 3;
const TSS: u16 = 0x38;

const GDT_BASE: u64 = AFTER_PAGE_TABLES;
const IDT_BASE: u64 = GDT_BASE + PAGE;
const TSS_BASE: u64 = IDT_BASE + PAGE;
const STUBS: u64 = TSS_BASE + PAGE;
const FAULT_STACK: u64 = STUBS + PAGE;
const FAULT_STACK_TOP: u64 = FAULT_STACK + PAGE;

const _: () = assert!(FAULT_STACK_TOP <= layout::SYSTEM.end());

/// Exceptions have vectors below this (Intel SDM volume 3, section 6.2).
const VECTORS: u8 = 32;
/// Those that push an error code (Intel SDM volume 3, table 6-1).
const WITH_CODE: [u8; 10] = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];
/// Bytes kept for a stub.
const STUB: u64 = 16;
/// Highest byte of a task state segment (Intel SDM volume 3, section 8.7), also its limit.
const TSS_LIMIT: u32 = 0x67;
/// Offset of the first interrupt stack in it.
const IST1: u64 = 0x24;

/// Writes the tables and the fault stubs.
pub fn write_tables(memory: &Memory) -> Result<(), VmmError> {
    let bytes: Vec<u8> = GDT.into_iter().flat_map(u64::to_le_bytes).collect();
    memory.write(GDT_BASE, &bytes)?;
    memory.write(TSS_BASE + IST1, &FAULT_STACK_TOP.to_le_bytes())?;
    for vector in 0..VECTORS {
        memory.write(STUBS + u64::from(vector) * STUB, &stub(vector))?;
        memory.write(IDT_BASE + u64::from(vector) * 16, &gate(vector))?;
    }
    let page = |base| Area { base, len: PAGE };
    memory.map_system(page(STUBS), Use::Text)?;
    [GDT_BASE, IDT_BASE, TSS_BASE, FAULT_STACK]
        .into_iter()
        .try_for_each(|base| memory.map_system(page(base), Use::Data))
}

/// `mov dword [FAULT], vector`, then `hlt` (Intel SDM volume 2). The host does not resume it.
fn stub(vector: u8) -> [u8; 12] {
    let [a, b, c, d] = u32::try_from(layout::FAULT.base).unwrap_or(0).to_le_bytes();
    [0xc7, 0x04, 0x25, a, b, c, d, vector, 0, 0, 0, 0xf4]
}

/// An interrupt gate to the vector's stub on the first interrupt stack (Intel SDM volume 3, section
/// 6.14.1). Ring 3 may raise breakpoint and overflow itself.
fn gate(vector: u8) -> [u8; 16] {
    let at = STUBS + u64::from(vector) * STUB;
    let present_interrupt_gate: u64 = if matches!(vector, 3 | 4) { 0xee } else { 0x8e };
    let ist = 1;
    let low = (at & 0xffff)
        | u64::from(CODE0) << 16
        | ist << 32
        | present_interrupt_gate << 40
        | (at >> 16 & 0xffff) << 48;
    let mut gate = [0; 16];
    gate[..8].copy_from_slice(&low.to_le_bytes());
    gate
}

/// What the processor pushed for an exception, and where.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Instruction that faulted.
    pub rip: u64,
    /// Error code, 0 for a vector without.
    pub code: u64,
}

/// Reads what the processor pushed for exception `vector`.
pub fn read_frame(memory: &Memory, vector: u8) -> Result<Frame, VmmError> {
    // SS, RSP, RFLAGS, CS and RIP, then the error code (Intel SDM volume 3, section 6.14.2).
    let word = |below: u64| -> Result<u64, VmmError> {
        let bytes = memory.read(FAULT_STACK_TOP - below, 8)?;
        Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
    };
    let code = if WITH_CODE.contains(&vector) { word(48)? } else { 0 };
    Ok(Frame { rip: word(40)?, code })
}

/// Ring 3, 64-bit mode, the tables of [`write_tables`].
pub fn set_sregs(sregs: &mut kvm_sregs) {
    let segment = kvm_segment { limit: u32::MAX, present: 1, s: 1, g: 1, dpl: 3, ..kvm_segment::default() };
    let data = kvm_segment { selector: DATA3, type_: 3, db: 1, ..segment };
    sregs.cs = kvm_segment { selector: CODE3, type_: 11, l: 1, ..segment };
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    let system = kvm_segment { present: 1, limit: TSS_LIMIT, ..kvm_segment::default() };
    sregs.tr = kvm_segment { base: TSS_BASE, selector: TSS, type_: 11, ..system };
    sregs.ldt = kvm_segment { unusable: 1, type_: 2, ..kvm_segment::default() };
    let table = |base, len: u16| kvm_dtable { base, limit: len - 1, ..kvm_dtable::default() };
    sregs.gdt = table(GDT_BASE, 8 * 9);
    sregs.idt = table(IDT_BASE, 16 * u16::from(VECTORS));
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (CR0, PAGE_TABLES, CR4, EFER);
}

/// At core's entry, on an empty stack. A function finds its stack 8 below a multiple of 16 (System V
/// ABI for x86-64, section 3.2.2).
pub fn regs() -> kvm_regs {
    kvm_regs { rip: layout::CORE.base, rsp: layout::STACK.end() - 8, rflags: RFLAGS, ..kvm_regs::default() }
}
