//! What the misbehaving operation can do, for the tests of the host.

/// Something that no operation may do. The number is asked for as the new size of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Misdeed {
    /// Panics with a text of its own.
    Panic = 1,
    /// Executes an instruction that does not exist.
    InvalidOpcode,
    /// Reads through a null pointer.
    NullPointer,
    /// Runs in circles.
    Hang,
    /// Calls the host for ever.
    Chatter,
    /// Sends findings for ever.
    Flood,
    /// Sends bytes that are no message as its result.
    MalformedResult,
    /// Sends a message without a payload as its result.
    EmptyResult,
    /// Sends the result of another operation.
    ForeignResult,
    /// Sends nothing.
    NoResult,
    /// Sends two results.
    TwoResults,
    /// Sends an item that its operation does not have.
    ForeignItem,
    /// Uses more stack than there is.
    StackOverflow,
    /// Writes to its own code.
    WriteToText,
    /// Executes its own data.
    ExecuteData,
    /// Executes a privileged instruction.
    Privileged,
    /// Writes to an address where there is nothing.
    StrayWrite,
    /// Writes to a control register that does not exist.
    StrayRegister,
    /// Announces a message longer than the mailbox.
    LongMessage,
    /// Asks the device to read into the page tables.
    DeviceToPageTables,
    /// Moves the virtqueue below device memory.
    QueueInCode,
    /// Writes beyond the device's capacity and claims success.
    WriteBeyondCapacity,
    /// Writes and claims success, whatever the device says.
    IgnoreFailedWrite,
    /// Writes and reports what the device says.
    ReportFailedWrite,
    /// Reports a failure of the device that there was not.
    InventFailure,
    /// Reports another length of the file than it has.
    WrongFileSize,
    /// Reports another size than it was asked for.
    WrongSize,
    /// Writes, then refuses.
    RefuseAfterWrite,
    /// Writes, and reports that nothing had to be done, with a shorter file.
    ForgetWrite,
    /// Writes to the first file behind the image, and reports what the device says.
    WriteBehind,
    /// Reads a file that is not there, and reports what the device says.
    ReadMissing,
    /// Reads on from one window into the next, past its own driver, and claims success.
    CrossWindows,
    /// Reports another length of the data file than it is to have.
    WrongDataFile,
    /// Does nothing wrong: writes a line to the log and reports a grown raw image.
    Behave,
}

impl Misdeed {
    /// All of them, by number.
    const ALL: [Self; 34] = [
        Self::Panic,
        Self::InvalidOpcode,
        Self::NullPointer,
        Self::Hang,
        Self::Chatter,
        Self::Flood,
        Self::MalformedResult,
        Self::EmptyResult,
        Self::ForeignResult,
        Self::NoResult,
        Self::TwoResults,
        Self::ForeignItem,
        Self::StackOverflow,
        Self::WriteToText,
        Self::ExecuteData,
        Self::Privileged,
        Self::StrayWrite,
        Self::StrayRegister,
        Self::LongMessage,
        Self::DeviceToPageTables,
        Self::QueueInCode,
        Self::WriteBeyondCapacity,
        Self::IgnoreFailedWrite,
        Self::ReportFailedWrite,
        Self::InventFailure,
        Self::WrongFileSize,
        Self::WrongSize,
        Self::RefuseAfterWrite,
        Self::ForgetWrite,
        Self::WriteBehind,
        Self::ReadMissing,
        Self::CrossWindows,
        Self::WrongDataFile,
        Self::Behave,
    ];

    /// The misdeed with this number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|misdeed| misdeed.number() == number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self as u64
    }
}
