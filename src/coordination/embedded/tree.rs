//! The tree itself: nodes, versions, transactions. Pure; knows nothing of disk, sessions' receivers or time.
//!
//! The rules are ZooKeeper's (classes `DataTree` and `PrepRequestProcessor`): a transaction has one zxid for all its
//! steps; a node's children version counts creations, from which both the visible `cversion` and the digits of a
//! sequential name derive; an ephemeral node has no children.

use bytes::Bytes;

use crate::{
    common::Timestamp,
    coordination::{CoordinationError, CreateMode, EventKind, MultiOp, MultiResult, Stat},
};

/// One znode. Small on purpose: there are three per partition.
#[derive(Debug, Default)]
pub struct Node {
    pub data: Box<[u8]>,
    pub czxid: i64,
    pub mzxid: i64,
    /// Transaction that last changed the list of children.
    pub pzxid: i64,
    pub ctime_ms: Timestamp,
    pub mtime_ms: Timestamp,
    pub ephemeral_owner: i64,
    pub version: i32,
    /// Children ever created here: what sequential names count by.
    pub creations: i32,
    pub children: Children,
}

impl Node {
    fn stat(&self) -> Stat {
        let num_children = i32::try_from(self.children.len()).unwrap_or(i32::MAX);
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime_ms: self.ctime_ms,
            mtime_ms: self.mtime_ms,
            version: self.version,
            // Creations plus deletions: as many as were created twice, less those still there.
            cversion: self.creations.wrapping_mul(2).wrapping_sub(num_children),
            ephemeral_owner: self.ephemeral_owner,
            num_children,
        }
    }
}

/// Children by name. Most nodes have none or one, a few have thousands.
#[derive(Debug)]
pub enum Children {
    Few(Vec<(Box<str>, Box<Node>)>),
    Many(std::collections::BTreeMap<Box<str>, Box<Node>>),
}

impl Default for Children {
    fn default() -> Self {
        Children::Few(Vec::new())
    }
}

/// From here on a list is searched slower than a tree.
const FEW: usize = 8;

impl Children {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Children::Few(list) => list.len(),
            Children::Many(map) => map.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Children::Few(list) => list.iter().find(|(n, _)| **n == *name).map(|(_, node)| &**node),
            Children::Many(map) => map.get(name).map(|node| &**node),
        }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        match self {
            Children::Few(list) => list.iter_mut().find(|(n, _)| **n == *name).map(|(_, node)| &mut **node),
            Children::Many(map) => map.get_mut(name).map(|node| &mut **node),
        }
    }

    fn insert(&mut self, name: &str, node: Box<Node>) {
        match self {
            Children::Few(list) if list.len() < FEW => {
                if list.is_empty() {
                    list.reserve_exact(1);
                }
                list.push((name.into(), node));
            }
            Children::Few(list) => {
                let mut map: std::collections::BTreeMap<_, _> = std::mem::take(list).into_iter().collect();
                map.insert(name.into(), node);
                *self = Children::Many(map);
            }
            Children::Many(map) => {
                map.insert(name.into(), node);
            }
        }
    }

    fn remove(&mut self, name: &str) -> Option<Box<Node>> {
        match self {
            Children::Few(list) => {
                let at = list.iter().position(|(n, _)| **n == *name)?;
                Some(list.remove(at).1)
            }
            Children::Many(map) => map.remove(name),
        }
    }

    /// In ascending order.
    fn names(&self) -> Vec<String> {
        match self {
            Children::Few(list) => {
                let mut names: Vec<String> = list.iter().map(|(name, _)| name.to_string()).collect();
                names.sort_unstable();
                names
            }
            Children::Many(map) => map.keys().map(|name| name.to_string()).collect(),
        }
    }
}

/// What a transaction did, in the order it did it.
#[derive(Debug)]
pub struct Committed {
    pub results: Vec<MultiResult>,
    /// Paths whose node (or its absence) must be written down; a path may occur more than once.
    pub touched: Vec<String>,
    /// What watches may hear of.
    pub events: Vec<(EventKind, String)>,
}

/// All nodes, and the number of the last transaction.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
    zxid: i64,
}

/// How to take one step back.
enum Undo {
    Created { parent: String, name: String, parent_pzxid: i64 },
    Set { path: String, data: Box<[u8]>, mzxid: i64, mtime_ms: Timestamp, version: i32 },
    Deleted { parent: String, name: String, node: Box<Node>, parent_pzxid: i64 },
}

impl Tree {
    /// An empty tree whose transactions are numbered above `zxid`.
    #[must_use]
    pub fn starting_at(zxid: i64) -> Self {
        Self { root: Node::default(), zxid }
    }

    #[must_use]
    pub fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Puts a node back as it was written down; its parent must be there. `false` if it is not.
    pub fn restore(&mut self, path: &str, node: Node) -> bool {
        if path == "/" {
            let children = std::mem::take(&mut self.root.children);
            self.root = Node { children, ..node };
            return true;
        }
        let Some((parent, name)) = split(path) else { return false };
        let Some(parent) = self.node_mut(parent) else { return false };
        parent.children.insert(name, Box::new(node));
        true
    }

    #[must_use]
    pub fn node(&self, path: &str) -> Option<&Node> {
        let mut at = &self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = at.children.get(name)?;
        }
        Some(at)
    }

    pub fn get(&self, path: &str) -> Result<(Bytes, Stat), CoordinationError> {
        let node = self.node(path).ok_or_else(|| CoordinationError::NoNode(path.into()))?;
        Ok((Bytes::copy_from_slice(&node.data), node.stat()))
    }

    #[must_use]
    pub fn exists(&self, path: &str) -> Option<Stat> {
        self.node(path).map(Node::stat)
    }

    pub fn children(&self, path: &str) -> Result<(Vec<String>, Stat), CoordinationError> {
        let node = self.node(path).ok_or_else(|| CoordinationError::NoNode(path.into()))?;
        Ok((node.children.names(), node.stat()))
    }

    /// Runs all steps under one zxid, or none: after an error the tree is as before.
    pub fn apply(&mut self, now: Timestamp, session: i64, ops: &[MultiOp]) -> Result<Committed, CoordinationError> {
        let zxid = self.zxid + 1;
        let mut done = Committed { results: Vec::with_capacity(ops.len()), touched: Vec::new(), events: Vec::new() };
        let mut undo = Vec::with_capacity(ops.len());
        for op in ops {
            if let Err(fault) = self.step(zxid, now, session, op, &mut done, &mut undo) {
                self.take_back(undo);
                return Err(fault);
            }
        }
        self.zxid = zxid;
        Ok(done)
    }

    /// The ephemeral nodes of a session, deepest first, so that they can be deleted in this order.
    #[must_use]
    pub fn ephemerals_of(&self, session: i64) -> Vec<String> {
        fn walk(node: &Node, path: &mut String, session: i64, found: &mut Vec<String>) {
            let mut visit = |name: &str, child: &Node, path: &mut String| {
                let length = path.len();
                path.push('/');
                path.push_str(name);
                walk(child, path, session, found);
                if child.ephemeral_owner == session {
                    found.push(path.clone());
                }
                path.truncate(length);
            };
            match &node.children {
                Children::Few(list) => list.iter().for_each(|(name, child)| visit(name, child, path)),
                Children::Many(map) => map.iter().for_each(|(name, child)| visit(name, child, path)),
            }
        }
        let mut found = Vec::new();
        walk(&self.root, &mut String::new(), session, &mut found);
        found
    }

    fn node_mut(&mut self, path: &str) -> Option<&mut Node> {
        let mut at = &mut self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = at.children.get_mut(name)?;
        }
        Some(at)
    }

    fn step(
        &mut self,
        zxid: i64,
        now: Timestamp,
        session: i64,
        op: &MultiOp,
        done: &mut Committed,
        undo: &mut Vec<Undo>,
    ) -> Result<(), CoordinationError> {
        match op {
            MultiOp::Create { path, data, mode } => {
                let (path, stat, back) = self.create(zxid, now, session, path, data, *mode)?;
                undo.push(back);
                let parent = parent_of(&path);
                done.touched.extend([path.clone(), parent.to_owned()]);
                done.events.push((EventKind::Created, path.clone()));
                done.events.push((EventKind::ChildrenChanged, parent.to_owned()));
                done.results.push(MultiResult::Created { path, stat });
            }
            MultiOp::Set { path, data, version } => {
                let (stat, back) = self.set(zxid, now, path, data, *version)?;
                undo.push(back);
                done.touched.push(path.clone());
                done.events.push((EventKind::DataChanged, path.clone()));
                done.results.push(MultiResult::Set { stat });
            }
            MultiOp::Delete { path, version } => {
                undo.push(self.delete(zxid, path, *version)?);
                let parent = parent_of(path);
                done.touched.extend([path.clone(), parent.to_owned()]);
                done.events.push((EventKind::Deleted, path.clone()));
                done.events.push((EventKind::ChildrenChanged, parent.to_owned()));
                done.results.push(MultiResult::Deleted);
            }
            MultiOp::Check { path, version } => {
                let node = self.node(path).ok_or_else(|| CoordinationError::NoNode(path.clone()))?;
                expect_version(path, node.version, *version)?;
                done.results.push(MultiResult::Checked);
            }
        }
        Ok(())
    }

    fn create(
        &mut self,
        zxid: i64,
        now: Timestamp,
        session: i64,
        path: &str,
        data: &Bytes,
        mode: CreateMode,
    ) -> Result<(String, Stat, Undo), CoordinationError> {
        let sequential = mode == CreateMode::PersistentSequential;
        validate(path, sequential)?;
        let parent_path = parent_of(path);
        let parent = self.node_mut(parent_path).ok_or_else(|| CoordinationError::NoNode(path.into()))?;
        let path = if sequential { format!("{path}{:010}", parent.creations) } else { path.to_owned() };
        let Some((_, name)) = split(&path) else { return Err(CoordinationError::NodeExists(path)) };
        if parent.children.get(name).is_some() {
            return Err(CoordinationError::NodeExists(path));
        }
        if parent.ephemeral_owner != 0 {
            return Err(CoordinationError::NoChildrenForEphemerals(path));
        }
        let ephemeral = mode == CreateMode::Ephemeral;
        let node = Box::new(Node {
            data: data.as_ref().into(),
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: now,
            mtime_ms: now,
            ephemeral_owner: if ephemeral { session } else { 0 },
            ..Node::default()
        });
        let stat = node.stat();
        let undo = Undo::Created { parent: parent_path.to_owned(), name: name.to_owned(), parent_pzxid: parent.pzxid };
        parent.children.insert(name, node);
        parent.creations = parent.creations.wrapping_add(1);
        parent.pzxid = zxid;
        Ok((path, stat, undo))
    }

    fn set(
        &mut self,
        zxid: i64,
        now: Timestamp,
        path: &str,
        data: &Bytes,
        version: Option<i32>,
    ) -> Result<(Stat, Undo), CoordinationError> {
        let node = self.node_mut(path).ok_or_else(|| CoordinationError::NoNode(path.into()))?;
        expect_version(path, node.version, version)?;
        let undo = Undo::Set {
            path: path.to_owned(),
            data: std::mem::replace(&mut node.data, data.as_ref().into()),
            mzxid: node.mzxid,
            mtime_ms: node.mtime_ms,
            version: node.version,
        };
        node.version = node.version.wrapping_add(1);
        node.mzxid = zxid;
        node.mtime_ms = now;
        Ok((node.stat(), undo))
    }

    fn delete(&mut self, zxid: i64, path: &str, version: Option<i32>) -> Result<Undo, CoordinationError> {
        let Some((parent_path, name)) = split(path) else {
            return Err(CoordinationError::BadArguments("the root cannot be deleted".into()));
        };
        let no_node = || CoordinationError::NoNode(path.into());
        let parent = self.node_mut(parent_path).ok_or_else(no_node)?;
        let node = parent.children.get(name).ok_or_else(no_node)?;
        expect_version(path, node.version, version)?;
        if !node.children.is_empty() {
            return Err(CoordinationError::NotEmpty(path.into()));
        }
        let node = parent.children.remove(name).ok_or_else(no_node)?;
        let parent_pzxid = std::mem::replace(&mut parent.pzxid, zxid);
        Ok(Undo::Deleted { parent: parent_path.to_owned(), name: name.to_owned(), node, parent_pzxid })
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Created { parent, name, parent_pzxid } => {
                    if let Some(parent) = self.node_mut(&parent) {
                        parent.children.remove(&name);
                        parent.creations = parent.creations.wrapping_sub(1);
                        parent.pzxid = parent_pzxid;
                    }
                }
                Undo::Set { path, data, mzxid, mtime_ms, version } => {
                    if let Some(node) = self.node_mut(&path) {
                        *node = Node { data, mzxid, mtime_ms, version, ..std::mem::take(node) };
                    }
                }
                Undo::Deleted { parent, name, node, parent_pzxid } => {
                    if let Some(parent) = self.node_mut(&parent) {
                        parent.children.insert(&name, node);
                        parent.pzxid = parent_pzxid;
                    }
                }
            }
        }
    }
}

fn expect_version(path: &str, actual: i32, expected: Option<i32>) -> Result<(), CoordinationError> {
    match expected {
        Some(expected) if expected != actual => Err(CoordinationError::BadVersion(path.into())),
        _ => Ok(()),
    }
}

/// Parent path and last name; `None` for the root.
fn split(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    if name.is_empty() { None } else { Some((if parent.is_empty() { "/" } else { parent }, name)) }
}

fn parent_of(path: &str) -> &str {
    split(path).map_or("/", |(parent, _)| parent)
}

/// ZooKeeper's rules of a path (class `PathUtils`). A sequential path may end in a slash: the digits follow.
fn validate(path: &str, sequential: bool) -> Result<(), CoordinationError> {
    let bad = |why: &str| Err(CoordinationError::BadArguments(format!("invalid path '{path}': {why}")));
    let Some(rest) = path.strip_prefix('/') else { return bad("it must start with /") };
    if rest.is_empty() && !sequential {
        return Ok(());
    }
    let whole = if sequential { format!("{rest}1") } else { rest.to_owned() };
    for name in whole.split('/') {
        if name.is_empty() {
            return bad("a name is empty");
        }
        if name == "." || name == ".." {
            return bad("relative names are not allowed");
        }
    }
    if path.chars().any(|c| c.is_control() || ('\u{f000}'..='\u{ffff}').contains(&c)) {
        return bad("it contains an illegal character");
    }
    Ok(())
}
