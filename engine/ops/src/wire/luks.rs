//! Unlocking, and what there is to say of a LUKS header.

use crate::{Encryption, LuksInfo, LuksSlot, MAX_LAYERS, OpError, Revealed, UnlockRequest};
use instar_abi::config::Header;
use instar_abi::message::{LuksMessage, LuksSlotMessage, UnlockResultMessage};
use instar_abi::unlock::{PASSPHRASE_LEN, UnlockConfig, encryption};
use instar_formats::luks::{Cipher, Hash, IvGen, Mode, SLOTS};
use zerocopy::little_endian::{U32, U64};

use super::answer::{error_from_wire, error_to_wire};
use super::request::{layers_from_config, layers_to_config, named_from_config, named_to_config};

/// `plain`, `plain64` and `essiv` on the wire.
const IVGENS: [u32; 3] = [1, 2, 3];

const fn encryption_to_wire(encryption: Encryption) -> u32 {
    match encryption {
        Encryption::None => encryption::NONE,
        Encryption::Aes => encryption::AES,
        Encryption::Luks => encryption::LUKS,
    }
}

const fn encryption_from_wire(number: u32) -> Option<Encryption> {
    match number {
        encryption::NONE => Some(Encryption::None),
        encryption::AES => Some(Encryption::Aes),
        encryption::LUKS => Some(Encryption::Luks),
        _ => None,
    }
}

impl UnlockRequest {
    /// The request as the guest reads it; `None` for a passphrase that is too long for it.
    #[must_use]
    pub fn to_config(&self, passphrase: Option<&[u8]>) -> Option<UnlockConfig> {
        let text = passphrase.unwrap_or_default();
        let mut page = [0; PASSPHRASE_LEN];
        page.get_mut(..text.len())?.copy_from_slice(text);
        Some(UnlockConfig {
            header: Header::of::<UnlockConfig>(),
            format: named_to_config(self.format),
            expected: U32::new(self.expected.map_or(encryption::ANY, encryption_to_wire)),
            has_passphrase: U32::new(u32::from(passphrase.is_some())),
            passphrase_len: U32::new(u32::try_from(text.len()).ok()?),
            reveal_offset: U64::ZERO,
            reveal_len: U64::ZERO,
            layers: U32::ZERO,
            reserved: U32::ZERO,
            chain: [0; MAX_LAYERS],
            passphrase: page,
        })
    }

    /// The inverse of [`Self::to_config`], without the passphrase; `None` if a number means nothing.
    #[must_use]
    pub fn from_config(config: &UnlockConfig) -> Option<Self> {
        let expected = match config.expected.get() {
            encryption::ANY => None,
            number => Some(encryption_from_wire(number)?),
        };
        Some(Self { format: named_from_config(config.format)?, expected })
    }
}

impl Revealed {
    /// The request as the guest reads it; `None` for a passphrase that is too long for it.
    #[must_use]
    pub fn to_config(&self, passphrase: &[u8]) -> Option<UnlockConfig> {
        let format = self.layers.first().map(|layer| layer.format);
        let mut config = UnlockRequest { format, expected: None }.to_config(Some(passphrase))?;
        (config.layers, config.chain) = layers_to_config(&self.layers);
        (config.reveal_offset, config.reveal_len) = (U64::new(self.offset), U64::new(self.len));
        Some(config)
    }

    /// The inverse of [`Self::to_config`], without the passphrase; `None` if a number means nothing.
    #[must_use]
    pub fn from_config(config: &UnlockConfig) -> Option<Self> {
        let layers = layers_from_config(config.layers, &config.chain)?;
        Some(Self { layers, offset: config.reveal_offset.get(), len: config.reveal_len.get() })
    }
}

/// The message of an attempt to unlock that came to `result`.
#[must_use]
pub fn unlock_to_wire(result: &Result<Encryption, OpError>) -> UnlockResultMessage {
    match result {
        Ok(found) => UnlockResultMessage { encryption: encryption_to_wire(*found), error: None },
        Err(error) => UnlockResultMessage { error: error_to_wire(*error), encryption: 0 },
    }
}

/// The inverse of [`unlock_to_wire`].
#[must_use]
pub fn unlock_from_wire(message: &UnlockResultMessage) -> Option<Result<Encryption, OpError>> {
    match &message.error {
        Some(error) => error_from_wire(error).map(Err),
        None => encryption_from_wire(message.encryption).map(Ok),
    }
}

/// What there is to say of a header, as a message.
pub(super) fn luks_to_wire(info: &LuksInfo) -> LuksMessage {
    let [plain, plain64, essiv] = IVGENS;
    LuksMessage {
        cipher: info.cipher.number(),
        key_bits: info.key_bits,
        mode: info.mode.number(),
        ivgen: match info.ivgen {
            IvGen::Plain => plain,
            IvGen::Plain64 => plain64,
            IvGen::Essiv(_) => essiv,
        },
        ivgen_hash: info.ivgen.hash().map_or(0, Hash::number),
        hash: info.hash.number(),
        uuid: info.uuid.iter().copied().collect(),
        payload_offset: info.payload_offset,
        master_key_rounds: info.master_key_rounds,
        slots: info.slots.iter().map(slot_to_wire).collect(),
    }
}

const fn slot_to_wire(slot: &LuksSlot) -> LuksSlotMessage {
    LuksSlotMessage {
        active: slot.active,
        rounds: slot.rounds,
        stripes: slot.stripes,
        material: slot.material,
    }
}

/// The inverse of [`luks_to_wire`].
pub(super) fn luks_from_wire(message: &LuksMessage) -> Option<LuksInfo> {
    let [plain, plain64, essiv] = IVGENS;
    let ivgen = match message.ivgen {
        number if number == plain => IvGen::Plain,
        number if number == plain64 => IvGen::Plain64,
        number if number == essiv => IvGen::Essiv(Hash::from_number(message.ivgen_hash)?),
        _ => return None,
    };
    let slots = message.slots.as_slice().first_chunk::<SLOTS>();
    Some(LuksInfo {
        cipher: Cipher::from_number(message.cipher)?,
        key_bits: message.key_bits,
        mode: Mode::from_number(message.mode)?,
        ivgen,
        hash: Hash::from_number(message.hash)?,
        uuid: message.uuid.as_slice().try_into().ok()?,
        payload_offset: message.payload_offset,
        master_key_rounds: message.master_key_rounds,
        slots: (*slots.filter(|_| message.slots.len() == SLOTS)?).map(|slot| LuksSlot {
            active: slot.active,
            rounds: slot.rounds,
            stripes: slot.stripes,
            material: slot.material,
        }),
    })
}
