//! The two readers of a bulk answer against each other, and the count of documents against serde_json.
use fintail::deliver::fuzzing::{read_both, read_checked};
use serde_json::Value;

/// The bytes as an answer.
pub fn bulk_response(data: &[u8]) {
    let (compact, any) = read_both(data);
    if let (Some(compact), Some(any)) = (&compact, &any) {
        assert_eq!(compact, any, "the fast reader and serde_json differ");
    }
    let items =
        serde_json::from_slice::<Value>(data).ok().and_then(|v| Some(v.get("items")?.as_array()?.len()));
    if let (Some(items), Some(_)) = (items, &any) {
        assert!(read_checked(data, items), "an answer is refused that tells of all documents");
        assert!(!read_checked(data, items + 1), "an answer is taken that tells of one document too few");
    }
}
