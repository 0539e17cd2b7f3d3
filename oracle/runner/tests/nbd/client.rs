//! As much of a client of the NBD protocol (doc/proto.md of the NetworkBlockDevice project) as reading takes. All numbers
//! are big-endian.

use std::io::{Error, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// `NBDMAGIC`, then `IHAVEOPT`: a server of the newer handshake.
const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
/// Client flags: fixed newstyle, no zeroes behind the handshake.
const FLAGS: u32 = 0b11;
/// `NBD_OPT_GO`: ask for an export and go on with it.
const OPT_GO: u32 = 7;
/// `NBD_REP_ACK`
const REP_ACK: u32 = 1;
/// `NBD_REP_INFO`
const REP_INFO: u32 = 3;
/// `NBD_INFO_EXPORT`: its size and flags.
const INFO_EXPORT: u16 = 0;
/// Magic numbers of option replies, requests and simple replies.
const REPLY_TO_OPTION: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
/// `NBD_CMD_READ`, `NBD_CMD_DISC`
const READ: u16 = 0;
const DISCONNECT: u16 = 2;
/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to an export.
pub struct Client {
    stream: UnixStream,
    /// Size of the export in bytes.
    pub size: u64,
}

impl Client {
    /// Connects to the server at `socket` and opens its default export.
    pub fn connect(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { size: 0, stream: stream.try_clone()? };
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        if greeting.get(..16) != Some(GREETING) {
            return Err(Error::other("no NBD server of the newer handshake"));
        }
        client.send(&[&FLAGS.to_be_bytes()])?;
        // An empty name is the default export; no further information is asked for.
        let (name, requests) = (0u32.to_be_bytes(), 0u16.to_be_bytes());
        let head = [&b"IHAVEOPT"[..], &OPT_GO.to_be_bytes(), &6u32.to_be_bytes()];
        client.send(&[head.concat().as_slice(), &name, &requests])?;
        while let Some(size) = client.option_reply()? {
            client.size = size.unwrap_or(client.size);
        }
        Ok(client)
    }

    /// One answer to the option: `None` is the last one, otherwise the size if it tells that.
    fn option_reply(&mut self) -> Result<Option<Option<u64>>> {
        let (magic, _, kind, len) = (self.be64()?, self.be32()?, self.be32()?, self.be32()?);
        let mut data = vec![0; usize::try_from(len).map_err(Error::other)?];
        self.stream.read_exact(&mut data)?;
        match (magic, kind) {
            (REPLY_TO_OPTION, REP_ACK) => Ok(None),
            (REPLY_TO_OPTION, REP_INFO) => {
                let info = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
                let size = data.get(2..10).and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
                Ok(Some(size.filter(|_| info == Some(INFO_EXPORT))))
            }
            _ => {
                Err(Error::other(format!("the server answers {kind:#x}: {}", String::from_utf8_lossy(&data))))
            }
        }
    }

    /// Reads from `offset` on.
    pub fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let len = u32::try_from(buffer.len()).map_err(Error::other)?;
        self.request(READ, offset, len)?;
        let (magic, error, _handle) = (self.be32()?, self.be32()?, self.be64()?);
        if magic != REPLY || error != 0 {
            return Err(Error::other(format!("reading {len} bytes at {offset}: error {error}")));
        }
        self.stream.read_exact(buffer)
    }

    /// Says good-bye.
    pub fn disconnect(mut self) -> Result<()> {
        self.request(DISCONNECT, 0, 0)
    }

    fn request(&mut self, command: u16, offset: u64, len: u32) -> Result<()> {
        let handle = offset.to_be_bytes();
        let parts: [&[u8]; 6] = [
            &REQUEST.to_be_bytes(),
            &0u16.to_be_bytes(),
            &command.to_be_bytes(),
            &handle,
            &offset.to_be_bytes(),
            &len.to_be_bytes(),
        ];
        self.send(&parts)
    }

    fn send(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.stream.write_all(&parts.concat())
    }

    fn be32(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn be64(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.stream.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }
}
