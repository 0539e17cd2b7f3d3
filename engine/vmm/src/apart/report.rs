//! How a job ended, as bytes: numbers of eight bytes, little-endian, and texts with their lengths before them.

use crate::error::{Fault, FaultCause, VmmError};
use crate::image::Seen;
use crate::kvm::Stats;
use instar_abi::layout::MEMORY_END;
use instar_ops::disk::{Direction, IoError};
use std::io;
use std::time::Duration;

/// Longest text, in bytes, that is taken.
const MOST_TEXT: usize = 4096;
/// What is said of bytes that mean nothing.
const MEANINGLESS: VmmError = VmmError::MalformedResult("its end means nothing");

/// Bytes as they are made.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn numbers(mut self, numbers: &[u64]) -> Self {
        numbers.iter().for_each(|number| self.0.extend(number.to_le_bytes()));
        self
    }

    fn text(self, text: &str) -> Self {
        let text = &text.as_bytes()[..text.len().min(MOST_TEXT)];
        let mut writer = self.numbers(&[text.len() as u64]);
        writer.0.extend_from_slice(text);
        writer
    }
}

/// Bytes as they are read. What is not there is `None`.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn time(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_nanos)
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok().filter(|len| *len <= MOST_TEXT)?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        Some(String::from_utf8_lossy(text).chars().map(shown).collect())
    }

    /// A text that lives for ever: there is one of them in a job that failed, and the process ends soon.
    fn lasting(&mut self) -> Option<&'static str> {
        self.text().map(|text| &*text.leak())
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn small(&mut self) -> Option<u32> {
        self.number().and_then(|number| u32::try_from(number).ok())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a job took and did.
pub fn end_to_bytes((stats, seen): &(Stats, Seen)) -> Vec<u8> {
    let took =
        [stats.exits, stats.block_requests, nanoseconds(stats.guest_time), nanoseconds(stats.total_time)];
    let moved = [seen.bytes_read, seen.bytes_written, seen.writes, seen.durable, seen.flushes];
    let writer = Writer::default().numbers(&took).numbers(&moved);
    let writer = writer.numbers(&[seen.written_end, seen.data_written_end]);
    let writer = match seen.failure {
        None => writer.numbers(&[0]),
        Some(IoError { direction, offset, len, errno }) => {
            let direction = match direction {
                Direction::Read => 1,
                Direction::Write => 2,
                Direction::Flush => 3,
            };
            writer.numbers(&[direction, offset, len, errno.into()])
        }
    };
    writer.0
}

/// What a job took and did, from its bytes.
///
/// # Errors
/// [`VmmError::MalformedResult`].
pub fn end(bytes: &[u8]) -> Result<(Stats, Seen), VmmError> {
    let mut reader = Reader(bytes);
    read_end(&mut reader).filter(|_| reader.0.is_empty()).ok_or(MEANINGLESS)
}

fn read_end(reader: &mut Reader<'_>) -> Option<(Stats, Seen)> {
    let (exits, block_requests) = (reader.number()?, reader.number()?);
    let (guest_time, total_time) = (reader.time()?, reader.time()?);
    let mut seen = Seen {
        bytes_read: reader.number()?,
        bytes_written: reader.number()?,
        writes: reader.number()?,
        durable: reader.number()?,
        flushes: reader.number()?,
        written_end: reader.number()?,
        data_written_end: reader.number()?,
        failure: None,
    };
    let direction = match reader.number()? {
        0 => None,
        1 => Some(Direction::Read),
        2 => Some(Direction::Write),
        3 => Some(Direction::Flush),
        _ => return None,
    };
    if let Some(direction) = direction {
        let (offset, len, errno) = (reader.number()?, reader.number()?, reader.small()?);
        seen.failure = Some(IoError { direction, offset, len, errno });
    }
    let Seen { bytes_read, bytes_written, flushes, .. } = seen;
    let guest_memory = MEMORY_END;
    let stats = Stats {
        exits,
        block_requests,
        bytes_read,
        bytes_written,
        flushes,
        guest_time,
        total_time,
        guest_memory,
    };
    Some((stats, seen))
}

/// Numbers that tell errors apart.
mod tag {
    pub const UNAVAILABLE: u64 = 0;
    pub const HOST: u64 = 1;
    pub const BINARY: u64 = 2;
    pub const PANIC: u64 = 3;
    pub const TIMED_OUT: u64 = 4;
    pub const MALFORMED: u64 = 5;
    pub const EXCEPTION: u64 = 6;
    pub const SHUTDOWN: u64 = 7;
    pub const STRAY_ACCESS: u64 = 8;
    pub const MISUSE: u64 = 9;
    pub const STUCK: u64 = 10;
}

/// Why a job failed.
pub fn error_to_bytes(error: &VmmError) -> Vec<u8> {
    let writer = Writer::default();
    match error {
        VmmError::Unavailable { reason } => writer.numbers(&[tag::UNAVAILABLE]).text(reason),
        VmmError::Host { what, source } => {
            let errno = source.raw_os_error().unwrap_or(0).unsigned_abs();
            writer.numbers(&[tag::HOST, errno.into()]).text(what).text(&source.to_string())
        }
        VmmError::Binary { name, what } => writer.numbers(&[tag::BINARY]).text(name).text(what),
        VmmError::Panic { text } => writer.numbers(&[tag::PANIC]).text(text),
        VmmError::TimedOut { why, limit } => writer.numbers(&[tag::TIMED_OUT, nanoseconds(*limit)]).text(why),
        VmmError::MalformedResult(why) => writer.numbers(&[tag::MALFORMED]).text(why),
        VmmError::Fault(fault) => fault_to_bytes(fault, writer),
        // None of these is a machine's.
        VmmError::Killed { .. } | VmmError::MissingResult | VmmError::Unbelievable(_) | VmmError::Io(_) => {
            writer.numbers(&[tag::MALFORMED]).text(&error.to_string())
        }
    }
    .0
}

fn fault_to_bytes(fault: &Fault, writer: Writer) -> Writer {
    let writer = match fault.cause {
        FaultCause::Exception { vector, code, stack_overflow } => {
            writer.numbers(&[tag::EXCEPTION, vector.into(), code, stack_overflow.into()])
        }
        FaultCause::Shutdown => writer.numbers(&[tag::SHUTDOWN]),
        FaultCause::StrayAccess { write } => writer.numbers(&[tag::STRAY_ACCESS, write.into()]),
        FaultCause::Misuse(why) => writer.numbers(&[tag::MISUSE]).text(why),
        FaultCause::Stuck(why) => writer.numbers(&[tag::STUCK]).text(why),
    };
    writer.numbers(&[fault.rip, fault.address.is_some().into(), fault.address.unwrap_or(0)])
}

/// Why a job failed, from its bytes.
///
/// # Errors
/// [`VmmError::MalformedResult`].
pub fn error(bytes: &[u8]) -> Result<VmmError, VmmError> {
    let mut reader = Reader(bytes);
    read_error(&mut reader).filter(|_| reader.0.is_empty()).ok_or(MEANINGLESS)
}

fn read_error(reader: &mut Reader<'_>) -> Option<VmmError> {
    Some(match reader.number()? {
        tag::UNAVAILABLE => VmmError::Unavailable { reason: reader.text()? },
        tag::HOST => {
            let (errno, what, text) = (reader.small()?, reader.lasting()?, reader.text()?);
            let known = |errno: u32| io::Error::from_raw_os_error(errno.cast_signed());
            let source = if errno == 0 { io::Error::other(text) } else { known(errno) };
            VmmError::Host { what, source }
        }
        tag::BINARY => VmmError::Binary { name: reader.text()?, what: reader.lasting()? },
        tag::PANIC => VmmError::Panic { text: reader.text()? },
        tag::TIMED_OUT => {
            let limit = reader.time()?;
            VmmError::TimedOut { why: reader.lasting()?, limit }
        }
        tag::MALFORMED => VmmError::MalformedResult(reader.lasting()?),
        tag => {
            let cause = read_cause(tag, reader)?;
            let (rip, known, address) = (reader.number()?, reader.flag()?, reader.number()?);
            VmmError::Fault(Fault { cause, rip, address: known.then_some(address) })
        }
    })
}

fn read_cause(tag: u64, reader: &mut Reader<'_>) -> Option<FaultCause> {
    Some(match tag {
        tag::EXCEPTION => FaultCause::Exception {
            vector: u8::try_from(reader.number()?).ok()?,
            code: reader.number()?,
            stack_overflow: reader.flag()?,
        },
        tag::SHUTDOWN => FaultCause::Shutdown,
        tag::STRAY_ACCESS => FaultCause::StrayAccess { write: reader.flag()? },
        tag::MISUSE => FaultCause::Misuse(reader.lasting()?),
        tag::STUCK => FaultCause::Stuck(reader.lasting()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
