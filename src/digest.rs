//! SHA-256 digests: of content, of files, of structs.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::error::{At, Error, Result};
use crate::fs;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(content: &[u8]) -> Digest {
        Digest(Sha256::digest(content).into())
    }

    /// Of a value, through its one binary form.
    pub fn of_value(value: &impl Serialize) -> Result<Digest> {
        let mut hasher = Hasher::new();
        hasher.value(value)?;
        Ok(hasher.finish())
    }

    pub fn of_file(path: &Path) -> Result<Digest> {
        let mut file = fs::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = [0; 64 * 1024];
        loop {
            let length = file.read(&mut buffer).at("read", path)?;
            if length == 0 {
                return Ok(Digest(hasher.finalize().into()));
            }
            hasher.update(&buffer[..length]);
        }
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

/// A digest of many parts, without all of them in memory.
pub struct Hasher(Sha256);

impl Hasher {
    pub fn new() -> Hasher {
        Hasher(Sha256::new())
    }

    /// Adds a value through its one binary form, which tells where it ends.
    pub fn value(&mut self, value: &impl Serialize) -> Result<()> {
        let bytes = postcard::to_extend(value, Vec::new())
            .map_err(|error| Error::machine(format!("a value has no binary form: {error}")))?;
        self.0.update(bytes);
        Ok(())
    }

    /// Adds bytes as they are: whoever adds them knows where they end.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl Default for Hasher {
    fn default() -> Hasher {
        Hasher::new()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

// As one run of bytes: a state file holds tens of thousands.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                bytes.try_into().map(Digest).map_err(|_| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
