//! What the fuzz targets see of delivery: the readers of bulk answers. The agent itself never calls it.

use super::bulk;

/// What each of the two readers makes of an answer, to be compared: the fast one, then serde_json.
#[must_use]
pub fn read_both(body: &[u8]) -> (Option<String>, Option<String>) {
    let show = |read: (bulk::Answer, usize)| format!("{read:?}");
    (bulk::read_compact(body).map(show), bulk::read_any(body).ok().map(show))
}

/// True where the answer is taken as one to `docs` documents.
#[must_use]
pub fn read_checked(body: &[u8], docs: usize) -> bool {
    bulk::read_answer(body, docs).is_ok()
}
