//! Which backing index a document may have gone to: `_id` deduplicates inside one backing index only.
//! It must not know frames' bytes or bulk answers.
//!
//! A document that was attempted may stand in the write index of that moment or a later one. The *floor* of a data
//! stream is the oldest write index under which anything may have been attempted that a restart would send again:
//! documents without an answer, and answered ones beyond the mark of their file (`reach`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;

use super::ack::AckLedger;
use super::frame::Debt;
use super::http::{CallError, Client, Content, Reply, segment};
use crate::source::GenerationId;

/// Ids asked for in one look-up.
pub(super) const LOOK_UP_MAX_IDS: usize = 1000;

/// What is known of a data stream's backing indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Indices {
    /// There is no such data stream yet.
    Absent,
    /// Oldest first; the last one is written to.
    Known(Vec<Arc<str>>),
    /// We may not know, or the destination has no data streams.
    Hidden,
}

impl Indices {
    /// `GET _data_stream/NAME`.
    ///
    /// # Errors
    /// Where the destination does not answer, or with an error that may pass.
    pub(super) async fn ask(client: &Client, stream: &str) -> Result<Self, LookUpError> {
        #[derive(Deserialize)]
        struct Whole {
            data_streams: Vec<DataStream>,
        }
        #[derive(Deserialize)]
        struct DataStream {
            indices: Vec<Index>,
        }
        #[derive(Deserialize)]
        struct Index {
            index_name: String,
        }
        let filter = "filter_path=data_streams.indices.index_name";
        let path = format!("/_data_stream/{}?{filter}", segment(stream));
        let reply = client.call(Method::GET, &path, Content::None).await.map_err(LookUpError::Call)?;
        match reply.status {
            200 => match serde_json::from_slice::<Whole>(&reply.body) {
                Ok(whole) => Ok(match whole.data_streams.into_iter().next() {
                    Some(found) => {
                        Self::Known(found.indices.into_iter().map(|index| index.index_name.into()).collect())
                    }
                    None => Self::Absent,
                }),
                // A filter that leaves nothing makes `{}`.
                Err(_) if &*reply.body == b"{}" => Ok(Self::Absent),
                Err(_) => Err(LookUpError::Refused(reply)),
            },
            404 => Ok(Self::Absent),
            400 | 403 | 405 => Ok(Self::Hidden),
            _ => Err(LookUpError::Refused(reply)),
        }
    }

    pub(super) fn write_index(&self) -> Option<&Arc<str>> {
        match self {
            Self::Known(indices) => indices.last(),
            _ => None,
        }
    }

    /// Where a document may stand that was attempted under `floor`; `None` = nobody knows, so everywhere.
    pub(super) fn since(&self, floor: Option<&str>) -> &[Arc<str>] {
        let Self::Known(indices) = self else { return &[] };
        let at = floor.and_then(|floor| indices.iter().position(|index| **index == *floor));
        indices.get(at.unwrap_or(0)..).unwrap_or_default()
    }
}

/// Why a look-up gave nothing.
#[derive(Debug)]
pub(super) enum LookUpError {
    /// No answer.
    Call(CallError),
    /// An answer that says something else.
    Refused(Reply),
    /// The credential may not read.
    Forbidden,
}

/// Which of the ids stand in one backing index: in real time, without a refresh.
///
/// # Errors
/// Where the answer does not cover every id.
pub(super) async fn look_up(client: &Client, index: &str, ids: &[&str]) -> Result<Vec<bool>, LookUpError> {
    #[derive(Deserialize)]
    struct Whole {
        docs: Vec<Doc>,
    }
    #[derive(Deserialize)]
    struct Doc {
        found: Option<bool>,
        error: Option<DocError>,
    }
    #[derive(Deserialize)]
    struct DocError {
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(serde::Serialize)]
    struct Ids<'a> {
        ids: &'a [&'a str],
    }
    let filter = "_source=false&filter_path=docs._id,docs.found,docs.error.type";
    let path = format!("/{}/_mget?{filter}", segment(index));
    let body = serde_json::to_string(&Ids { ids }).unwrap_or_default();
    let reply = client.call(Method::POST, &path, Content::Json(body)).await.map_err(LookUpError::Call)?;
    match reply.status {
        200 => {}
        403 => return Err(LookUpError::Forbidden),
        // The index was deleted since the list was read, and its documents with it.
        404 => return Ok(vec![false; ids.len()]),
        _ => return Err(LookUpError::Refused(reply)),
    }
    let docs = match serde_json::from_slice::<Whole>(&reply.body) {
        Ok(whole) if whole.docs.len() == ids.len() => whole.docs,
        _ => return Err(LookUpError::Refused(reply)),
    };
    let mut found = Vec::with_capacity(docs.len());
    for doc in docs {
        found.push(match (doc.found, doc.error) {
            (Some(found), _) => found,
            (None, Some(error)) if error.kind == "index_not_found_exception" => false,
            (None, Some(error)) if error.kind == "security_exception" => return Err(LookUpError::Forbidden),
            _ => return Err(LookUpError::Refused(reply)),
        });
    }
    Ok(found)
}

#[derive(Debug)]
struct Epoch {
    id: u64,
    /// `None`: unknown, so any.
    index: Option<Arc<str>>,
    /// Frames first attempted under it that still owe something.
    open: u64,
    /// How far answered frames reach in their files: a restart begins at the mark, and what lies beyond goes again.
    reach: HashMap<(GenerationId, usize), u64>,
}

impl Epoch {
    fn new(id: u64, index: Option<Arc<str>>) -> Self {
        Self { id, index, open: 0, reach: HashMap::new() }
    }

    fn is_over(&mut self, ledger: &AckLedger) -> bool {
        self.reach.retain(|&(generation, stream), &mut end| {
            ledger
                .marks(generation)
                .and_then(|marks| marks.get(stream).copied())
                .is_some_and(|mark| mark < end)
        });
        self.open == 0 && self.reach.is_empty()
    }
}

/// The write indices of one data stream under which something is still owed, oldest first. The first epoch belongs
/// to what an earlier life of the agent may have attempted.
#[derive(Debug)]
pub(super) struct Floors {
    epochs: VecDeque<Epoch>,
    next_id: u64,
    replayed: bool,
}

const REPLAY: u64 = 0;

impl Floors {
    /// `floor` is the checkpoint's.
    pub(super) fn new(floor: Option<Arc<str>>) -> Self {
        Self { epochs: VecDeque::from([Epoch::new(REPLAY, floor)]), next_id: REPLAY + 1, replayed: false }
    }

    /// All that an earlier life may have attempted has been handed over.
    pub(super) fn replayed(&mut self) {
        self.replayed = true;
    }

    /// What is attempted from now on goes to this write index or a later one.
    pub(super) fn observe(&mut self, indices: &Indices) {
        let index = indices.write_index().cloned();
        if self.epochs.back().is_none_or(|last| last.id == REPLAY || last.index != index) {
            self.epochs.push_back(Epoch::new(self.next_id, index));
            self.next_id += 1;
        }
    }

    /// A frame is attempted, for the first time or again.
    pub(super) fn attempt(&mut self, debt: &Debt, replay: bool) {
        if debt.epoch.get().is_some() {
            return;
        }
        let epoch = if replay { self.epochs.front_mut() } else { self.epochs.back_mut() };
        if let Some(epoch) = epoch {
            epoch.open += 1;
            debt.epoch.get_or_init(|| epoch.id);
        }
    }

    /// The index from which on the documents of an attempted frame may stand; `None` = any.
    pub(super) fn of(&self, debt: &Debt) -> Option<Arc<str>> {
        let id = debt.epoch.get()?;
        self.epochs.iter().find(|epoch| epoch.id == *id)?.index.clone()
    }

    /// All documents of a frame are answered.
    pub(super) fn paid(&mut self, debt: &Debt) {
        let Some(epoch) = self.epochs.iter_mut().find(|epoch| debt.epoch.get() == Some(&epoch.id)) else {
            return;
        };
        epoch.open = epoch.open.saturating_sub(1);
        for ack in &debt.acks {
            let end = epoch.reach.entry((ack.span.generation, ack.stream as usize)).or_default();
            *end = (*end).max(ack.span.to);
        }
    }

    /// Forgets epochs that nothing hangs on any more.
    pub(super) fn sweep(&mut self, ledger: &AckLedger) {
        for epoch in &mut self.epochs {
            epoch.is_over(ledger);
        }
        while self.epochs.len() > 1
            && let Some(first) = self.epochs.front_mut()
            && (first.id != REPLAY || self.replayed)
            && first.is_over(ledger)
        {
            self.epochs.pop_front();
        }
    }

    /// For the checkpoint; `None` = unknown, so any.
    pub(super) fn floor(&self) -> Option<&Arc<str>> {
        self.epochs.front().and_then(|epoch| epoch.index.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use fintail_parsers::container::cri::Stream;

    use super::super::Encoding;
    use super::super::frame::Piece;
    use super::super::testing::{frame, pool};
    use super::*;

    fn known(count: usize) -> Indices {
        Indices::Known((1..=count).map(|n| format!("i{n}").into()).collect())
    }

    fn debt(numbers: std::ops::Range<u32>) -> Arc<Debt> {
        Piece::new(frame(&pool(), "s", Encoding::Identity, numbers)).debt
    }

    fn ledger() -> AckLedger {
        let ledger = AckLedger::default();
        ledger.register(GenerationId(0), crate::source::tail::identity::IdPrefix::default(), [0, 0]);
        ledger
    }

    #[test]
    fn a_document_may_stand_in_every_index_from_its_floor_on() {
        let since = |indices: &Indices, floor| -> Vec<String> {
            indices.since(floor).iter().map(ToString::to_string).collect()
        };
        assert_eq!(since(&known(3), Some("i2")), ["i2", "i3"]);
        assert_eq!(since(&known(3), Some("i3")), ["i3"]);
        assert_eq!(since(&known(3), Some("deleted")), ["i1", "i2", "i3"]);
        assert_eq!(since(&known(3), None), ["i1", "i2", "i3"]);
        assert!(since(&Indices::Absent, None).is_empty());
    }

    #[test]
    fn the_floor_moves_when_nothing_hangs_on_it() {
        let ledger = ledger();
        let mut floors = Floors::new(None);
        floors.replayed();
        floors.observe(&known(1));
        let (first, second) = (debt(0..5), debt(5..9));
        floors.attempt(&first, false);
        floors.attempt(&second, false);
        floors.observe(&known(2));
        floors.attempt(&first, false);
        assert_eq!(floors.of(&first).as_deref(), Some("i1"), "the first attempt counts");
        floors.paid(&second);
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i1"), "the first frame is open");
        floors.paid(&first);
        ledger.acknowledge(&second.acks);
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i1"), "a restart would send both again");
        ledger.acknowledge(&first.acks);
        assert_eq!(ledger.marks(GenerationId(0)).unwrap()[Stream::Stdout as usize], 9);
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i2"));
    }

    #[test]
    fn an_earlier_lifes_floor_stands_until_all_of_it_is_handed_over_and_answered() {
        let ledger = ledger();
        let mut floors = Floors::new(Some("i1".into()));
        floors.observe(&known(3));
        let (live, replayed) = (debt(5..9), debt(0..5));
        floors.attempt(&live, false);
        floors.paid(&live);
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i1"));
        floors.attempt(&replayed, true);
        assert_eq!(floors.of(&replayed).as_deref(), Some("i1"));
        floors.replayed();
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i1"));
        floors.paid(&replayed);
        ledger.acknowledge(&replayed.acks);
        floors.sweep(&ledger);
        assert_eq!(floors.floor().map(|floor| &**floor), Some("i3"));
    }
}
