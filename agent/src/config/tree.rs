//! YAML text as a tree in which every key and value knows its place.
//! Must not know the schema.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{self as yaml, Event, Parser, ScalarStyle};

use super::limits::{CONFIG_MAX_DEPTH, CONFIG_MAX_NODES};

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// A value with its place. Keys that stand twice are both kept: the walk reports them with all other errors.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `~`, `null` or nothing: as good as not written.
    Null,
    /// `plain`: not quoted, so `false` may be a boolean.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Span,
    pub(super) value: Node,
}

impl Node {
    /// No text at all.
    pub(super) fn empty() -> Self {
        Self { span: 0..0, kind: Kind::Null }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }
}

/// Why there is no tree.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Span,
    pub(super) cause: String,
    pub(super) hint: Option<&'static str>,
}

/// The one document of `text`.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut options = yaml::Options::default();
    options.emit_comments = false;
    // Else its error would name the alias, which may be an unquoted password that begins with `*`.
    options.emit_unresolved_aliases = true;
    options.flow_nesting_limit = CONFIG_MAX_DEPTH;
    options.block_nesting_limit = CONFIG_MAX_DEPTH;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| {
            let at = e.marker().byte_offset().unwrap_or(0);
            SyntaxError { span: at..at, cause: format!("YAML: {}", e.kind()), hint: None }
        })?;
        let offset = |m: yaml::Marker| m.byte_offset().unwrap_or(0);
        builder.take(event, offset(span.start)..offset(span.end))?;
    }
    Ok(builder.root.unwrap_or_else(Node::empty))
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: usize,
    nodes: usize,
}

/// A collection whose end has not come.
struct Open {
    start: usize,
    anchor: usize,
    nodes_before: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Span)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let fail = |cause: &str, hint| Err(SyntaxError { span: span.clone(), cause: cause.to_owned(), hint });
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return fail("a second YAML document", Some("one file holds one document"));
                }
            }
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, _, Some(tag))
            | Event::MappingStart(_, _, Some(tag))
                if !plain_string(&tag) =>
            {
                return fail(
                    "YAML tags (`!…`) mean nothing here",
                    Some("quote the value if it begins with `!`"),
                );
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let null = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let kind = match null {
                    true => Kind::Null,
                    false => Kind::Scalar { text: text.into_owned(), plain },
                };
                self.put(Node { span, kind }, anchor, 1)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(span, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.start(span, anchor, Content::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let kind = match open.content {
                        Content::List(list) => Kind::List(list),
                        Content::Map(map, _) => Kind::Map(map),
                    };
                    let size = self.nodes - open.nodes_before;
                    let node = Node { span: open.start..span.end.max(open.start), kind };
                    self.put(node, open.anchor, size)?;
                }
            }
            Event::Alias(id) => {
                let Some((kind, size)) = self.anchors.get(&id).map(|(n, size)| (&n.kind, *size)) else {
                    return fail("an alias of the collection that holds it", None);
                };
                // Counted before the copy: the copy is what must not fill the memory.
                if self.nodes + size > CONFIG_MAX_NODES {
                    return fail("aliases expand to too many values", None);
                }
                let node = Node { span, kind: kind.clone() };
                self.put(node, 0, size)?;
            }
            Event::UnresolvedAlias(_) => {
                return fail(
                    "an alias (`*…`) without its anchor",
                    Some("quote the value if it begins with `*`"),
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), SyntaxError> {
        if self.open.len() >= CONFIG_MAX_DEPTH {
            let cause = format!("nested deeper than {CONFIG_MAX_DEPTH} levels");
            return Err(SyntaxError { span, cause, hint: None });
        }
        let nodes_before = self.nodes;
        self.open.push(Open { start: span.start, anchor, nodes_before, content });
        Ok(())
    }

    /// A whole node goes into the collection around it. `size`: nodes under `anchor`, itself included.
    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), SyntaxError> {
        self.count(1, &node.span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size.max(1)));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(list)) => list.push(node),
            Some(Content::Map(_, key @ None)) => match node.kind {
                Kind::Scalar { text, .. } => *key = Some((text, node.span)),
                Kind::Null | Kind::List(_) | Kind::Map(_) => {
                    let cause = "a key is a word".to_owned();
                    return Err(SyntaxError { span: node.span, cause, hint: None });
                }
            },
            Some(Content::Map(map, key @ Some(_))) => {
                if let Some((key, at)) = key.take() {
                    map.push(Entry { key, at, value: node });
                }
            }
        }
        Ok(())
    }
}

/// `!!str` says what a quoted scalar says; every other tag is an error.
fn plain_string(tag: &Cow<'_, yaml::Tag>) -> bool {
    tag.core_suffix() == Some("str")
}
