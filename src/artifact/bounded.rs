//! Lists in JSON that nobody vouches for: read item by item, and no further than a limit.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// A list of at most so many items.
pub(super) struct AtMost<T> {
    most: usize,
    item: PhantomData<T>,
}

impl<T> AtMost<T> {
    pub(super) fn new(most: usize) -> AtMost<T> {
        AtMost { most, item: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMost<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == self.most {
                return Err(A::Error::custom(format!("a list of more than {} items", self.most)));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// The whole content is such a list.
pub(super) fn list<'de, T: Deserialize<'de>>(content: &'de [u8], most: usize) -> serde_json::Result<Vec<T>> {
    let mut reader = serde_json::Deserializer::from_slice(content);
    let items = AtMost::new(most).deserialize(&mut reader)?;
    reader.end()?;
    Ok(items)
}
