//! One virtual machine for one job: built, run to its end, thrown away.

use crate::binaries::{Binary, CORE};
use crate::block::Block;
use crate::cpu;
use crate::error::{Fault, FaultCause, VmmError};
use crate::files::Files;
use crate::image::Seen;
use crate::kvm::{Kvm, Limits, Stats};
use crate::mailbox;
use crate::memory::Memory;
use crate::segments::segments;
use crate::watchdog::Watchdog;
use instar_abi::boot::BootInfo;
use instar_abi::layout::{self, Area, BLOCK, CONTROL, FAULT, GUARD, control};
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{VcpuExit, VcpuFd, VmFd};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::time::{Duration, Instant};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};
use zerocopy::IntoBytes;

/// What a job is.
pub struct Job<'a> {
    /// The operation.
    pub operation: Binary,
    /// Its configuration, as it lies in memory.
    pub config: &'a [u8],
    /// Its image, and what belongs to it.
    pub files: Files<'a>,
    /// Gets every message.
    pub listener: &'a mut dyn Listener,
    /// How long it may take.
    pub limits: Limits,
}

/// Who hears what a guest says, and how far its job is.
pub trait Listener {
    /// The guest is about to run; until then nothing of the image has been read. Its processor is an open file, too.
    fn ready(&mut self, _processor: RawFd) -> Result<(), VmmError> {
        Ok(())
    }

    /// Length-delimited messages, as they lay in the mailbox.
    fn messages(&mut self, bytes: &[u8]) -> Result<(), VmmError>;

    /// A line of debug text.
    fn log(&mut self, line: &str) -> Result<(), VmmError>;

    /// The guest has run, and nothing is torn down yet.
    fn ended(&mut self, _end: &Result<(Stats, Seen), VmmError>) {}
}

/// Runs `job` to its end. What it took and what it did to the files.
pub fn run(kvm: &Kvm, job: Job<'_>) -> Result<(Stats, Seen), VmmError> {
    let started = Instant::now();
    let memory = Memory::new()?;
    cpu::write_tables(&memory)?;
    load(&memory, CORE, layout::CORE)?;
    load(&memory, job.operation, layout::OPERATION)?;
    memory.write(layout::CONFIG.base, job.config)?;
    let block = Block::new(job.files, &memory.dma)?;
    let boot = BootInfo::new(&block.files.lengths(), block.files.image_capacity());
    memory.write(layout::BOOT_INFO.base, boot.as_bytes())?;

    let vm = kvm.create_vm()?;
    give_memory(&vm, &memory)?;
    let vcpu = create_vcpu(kvm, &vm)?;
    let mut machine = Machine { memory: &memory, block, vcpu, listener: job.listener, exits: 0 };
    let mut watchdog = Watchdog::start(job.limits)?;
    machine.listener.ready(machine.vcpu.as_raw_fd())?;
    let ran = machine.run(&mut watchdog);
    // It may have held a passphrase.
    memory.write(layout::CONFIG.base, &[0; layout::CONFIG.size()])?;
    let end = ran.map(|()| machine.account(watchdog.spent(), started.elapsed()));
    machine.listener.ended(&end);
    end
}

fn failed(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> VmmError {
    move |e| VmmError::Host { what, source: io::Error::from_raw_os_error(e.errno()) }
}

/// Loads `binary` into `area` and lets the guest use its pages as each segment asks.
fn load(memory: &Memory, binary: Binary, area: Area) -> Result<(), VmmError> {
    let bad = |what| VmmError::Binary { name: binary.name.to_owned(), what };
    for segment in segments(binary.bytes, area).map_err(bad)? {
        memory.write(segment.area.base, segment.data)?;
        memory.map(segment.area, segment.usage)?;
    }
    Ok(())
}

fn give_memory(vm: &VmFd, memory: &Memory) -> Result<(), VmmError> {
    for (slot, region) in (0..).zip(memory.all.iter()) {
        let slot = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the region is mapped for as long as `memory` is, which the machine borrows, and it
        // is mapped nowhere else in the guest.
        unsafe { vm.set_user_memory_region(slot) }.map_err(failed("giving memory to the guest"))?;
    }
    Ok(())
}

fn create_vcpu(kvm: &Kvm, vm: &VmFd) -> Result<VcpuFd, VmmError> {
    let what = failed("setting up the guest's processor");
    let vcpu = vm.create_vcpu(0).map_err(&what)?;
    vcpu.set_cpuid2(&kvm.cpuid).map_err(&what)?;
    let mut sregs = vcpu.get_sregs().map_err(&what)?;
    cpu::set_sregs(&mut sregs);
    vcpu.set_sregs(&sregs).map_err(&what)?;
    vcpu.set_regs(&cpu::regs()).map_err(&what)?;
    Ok(vcpu)
}

struct Machine<'a> {
    memory: &'a Memory,
    block: Block<'a>,
    vcpu: VcpuFd,
    listener: &'a mut dyn Listener,
    exits: u64,
}

/// An exit, in words that borrow nothing from the processor.
enum Exit {
    Read { address: u64, len: usize },
    Write { address: u64, value: u32 },
    Interrupted,
    Shutdown,
    Stuck(&'static str),
}

/// Whether a job goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Run,
    End,
}

impl Machine<'_> {
    fn run(&mut self, watchdog: &mut Watchdog) -> Result<(), VmmError> {
        watchdog.enter();
        loop {
            let exit = self.step();
            if matches!(exit, Exit::Interrupted) {
                watchdog.interrupted()?;
                continue;
            }
            watchdog.leave()?;
            self.exits += 1;
            if self.serve(exit)? == Next::End {
                return Ok(());
            }
            watchdog.enter();
        }
    }

    /// What it took and what was done to the files.
    fn account(&self, guest_time: Duration, total_time: Duration) -> (Stats, Seen) {
        let seen = self.block.files.seen();
        let stats = Stats {
            exits: self.exits,
            block_requests: self.block.requests,
            bytes_read: seen.bytes_read,
            bytes_written: seen.bytes_written,
            flushes: seen.flushes,
            guest_time,
            total_time,
            guest_memory: layout::MEMORY_END,
        };
        (stats, seen)
    }

    /// Lets the guest run until it wants something. A register that is read is answered here, where
    /// its value has to go.
    fn step(&mut self) -> Exit {
        match self.vcpu.run() {
            Ok(VcpuExit::MmioWrite(address, data)) => match <[u8; 4]>::try_from(data) {
                Ok(data) => Exit::Write { address, value: u32::from_le_bytes(data) },
                Err(_) => Exit::Write { address: u64::MAX, value: 0 },
            },
            Ok(VcpuExit::MmioRead(address, data)) => {
                let offset = address.checked_sub(BLOCK.base).filter(|offset| *offset < BLOCK.len);
                let value = offset.and_then(|offset| self.block.read(offset));
                match (value, <&mut [u8; 4]>::try_from(&mut *data)) {
                    (Some(value), Ok(data)) => {
                        *data = value.to_le_bytes();
                        Exit::Read { address, len: 4 }
                    }
                    _ => Exit::Read { address, len: 0 },
                }
            }
            Ok(VcpuExit::Intr) => Exit::Interrupted,
            Ok(VcpuExit::Shutdown) => Exit::Shutdown,
            Ok(VcpuExit::InternalError) => Exit::Stuck("an instruction that KVM cannot emulate"),
            Ok(VcpuExit::FailEntry(..)) => Exit::Stuck("a state that the processor refuses"),
            Ok(_) => Exit::Stuck("an exit that has no meaning here"),
            Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => Exit::Interrupted,
            Err(_) => Exit::Stuck("KVM refuses to run the guest"),
        }
    }

    fn serve(&mut self, exit: Exit) -> Result<Next, VmmError> {
        match exit {
            Exit::Read { len: 0, address } => Err(self.stray(false, address)),
            Exit::Read { .. } | Exit::Interrupted => Ok(Next::Run),
            Exit::Write { address, value } => self.write(address, value),
            Exit::Shutdown => Err(self.fault(FaultCause::Shutdown, self.cr2())),
            Exit::Stuck(why) => Err(self.fault(FaultCause::Stuck(why), None)),
        }
    }

    fn write(&mut self, address: u64, value: u32) -> Result<Next, VmmError> {
        if CONTROL.contains(address, 4) {
            return self.control(address, value);
        }
        if BLOCK.contains(address, 4) {
            let done = self.block.write(address - BLOCK.base, value);
            return match done {
                Ok(()) => Ok(Next::Run),
                Err(why) => Err(self.fault(FaultCause::Misuse(why), None)),
            };
        }
        match u8::try_from(value) {
            Ok(vector) if address == FAULT.base => Err(self.exception(vector)?),
            _ => Err(self.stray(true, address)),
        }
    }

    fn control(&mut self, address: u64, value: u32) -> Result<Next, VmmError> {
        match address - CONTROL.base {
            control::SEND => self.listener.messages(&mailbox::bytes(self.memory, value)?).map(|()| Next::Run),
            control::DEBUG => self.listener.log(&mailbox::text(self.memory, value)?).map(|()| Next::Run),
            control::PANIC => Err(VmmError::Panic { text: mailbox::text(self.memory, value)? }),
            control::EXIT if value == 0 => Ok(Next::End),
            _ => Err(self.stray(true, address)),
        }
    }

    /// What a fault stub reported.
    fn exception(&self, vector: u8) -> Result<VmmError, VmmError> {
        /// Page fault: the only exception with an address (Intel SDM volume 3, section 6.15).
        const PAGE_FAULT: u8 = 14;
        let frame = cpu::read_frame(self.memory, vector)?;
        let address = if vector == PAGE_FAULT { self.cr2() } else { None };
        let stack_overflow = address.is_some_and(|address| GUARD.contains(address, 1));
        let cause = FaultCause::Exception { vector, code: frame.code, stack_overflow };
        Ok(VmmError::Fault(Fault { cause, rip: frame.rip, address }))
    }

    fn stray(&self, write: bool, address: u64) -> VmmError {
        self.fault(FaultCause::StrayAccess { write }, Some(address))
    }

    fn fault(&self, cause: FaultCause, address: Option<u64>) -> VmmError {
        let rip = self.vcpu.get_regs().map_or(0, |regs| regs.rip);
        VmmError::Fault(Fault { cause, rip, address })
    }

    fn cr2(&self) -> Option<u64> {
        self.vcpu.get_sregs().ok().map(|sregs| sregs.cr2)
    }
}
