//! What the commands of `testdata/*.txt` mean. Member ids are shortened: `c-#1` is client `c`'s id with the first UUID given out.

use std::{fmt::Write as _, sync::Arc};

use indexmap::IndexMap;

use super::harness::{Harness, Logged, commit_command, join_command, subscription, sync_command};
use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::{
        group::{
            GroupConfig,
            command::{Reply, ReplyTo, TransactionalProducer},
            records::{RecordKey, read_group_value, read_key, read_offset_value},
        },
        story_files,
    },
    storage::Verification,
};

#[test]
fn stories() {
    story_files::check("src/coordinator/group/testdata", run);
}

/// Runs a story; returns it with what really happened.
fn run(text: &str) -> String {
    let mut story = Story { harness: Harness::new(GroupConfig::default()), names: IndexMap::new(), logged: 0 };
    let mut told = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        told.push_str(line);
        told.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let outcome = story.command(line);
        told.push_str("----\n");
        told.push_str(&outcome);
        // Skip what the file expects; the blank line after it is kept.
        while lines.peek().is_some_and(|line| !line.is_empty()) {
            lines.next();
        }
    }
    told
}

struct Story {
    harness: Harness,
    /// What the story calls its requests.
    names: IndexMap<ReplyTo, String>,
    logged: usize,
}

/// `word word key=value flag`
struct Args<'a> {
    words: Vec<&'a str>,
}

impl<'a> Args<'a> {
    fn of(line: &'a str) -> Self {
        Self { words: line.split_whitespace().collect() }
    }

    fn word(&self, at: usize) -> &'a str {
        self.words.get(at).copied().unwrap_or_else(|| panic!("word {at} is missing in {:?}", self.words))
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str, default: i64) -> i64 {
        self.value(key).map_or(default, |value| value.parse().unwrap())
    }

    fn has(&self, flag: &str) -> bool {
        self.words.contains(&flag)
    }
}

const UUID_ZEROS: &str = "00000000-0000-0000-0000-";

fn full(id: &str) -> String {
    match id.split_once('#') {
        Some((stem, number)) => format!("{stem}{UUID_ZEROS}{:012x}", number.parse::<u64>().unwrap()),
        None => id.to_owned(),
    }
}

fn short(id: &str) -> String {
    match id.split_once(UUID_ZEROS) {
        Some((stem, number)) => format!("{stem}#{}", u64::from_str_radix(number, 16).unwrap()),
        None => id.to_owned(),
    }
}

impl Story {
    fn command(&mut self, line: &str) -> String {
        let args = Args::of(line);
        let mut out = String::new();
        match args.word(0) {
            "config" => self.configure(&args),
            "join" => self.join(&args),
            "sync" => self.sync(&args),
            "heartbeat" => {
                let (member, generation) = (full(args.value("member").unwrap_or("")), args.number("gen", 0) as i32);
                let error = self.harness.heartbeat(group(&args), &member, args.value("instance"), generation);
                writeln!(out, "{error}").unwrap();
            }
            "leave" => self.leave(&args),
            "commit" => self.commit(&args),
            "fetch" => self.fetch(&args, &mut out),
            "delete-group" => {
                let token = self.harness.token();
                self.names.insert(token, "delete".into());
                let step = self.harness.shard.delete_group(group(&args), token);
                self.harness.take_step(step);
            }
            "delete-offsets" => {
                let token = self.harness.token();
                self.names.insert(token, "delete".into());
                let step = self.harness.shard.delete_offsets(group(&args), partitions(args.word(1)), token);
                self.harness.take_step(step);
            }
            "expire-offsets" => {
                let step = self.harness.shard.expire_offsets(self.harness.now());
                self.harness.take_step(step);
            }
            "marker" => self.harness.mark_transaction(args.number("producer", 0), args.has("commit")),
            "advance" => self.harness.advance(args.word(1).parse().unwrap()),
            "hold" => self.harness.is_holding = true,
            "release" => {
                self.harness.is_holding = false;
                let code = |name| *ErrorCode::ALL.iter().find(|code| code.name() == name).unwrap();
                self.harness.release(args.value("error").map_or(Ok(()), |name| Err(code(name))));
            }
            "reload" => self.harness.reload(),
            "describe" => self.describe(&args, &mut out),
            "list" => {
                for group in self.harness.shard.overviews() {
                    writeln!(out, "{} {} type={}", group.group_id, group.state, group.protocol_type).unwrap();
                }
            }
            other => panic!("unknown command {other}"),
        }
        self.tell_log(&mut out);
        self.tell_replies(&mut out);
        out
    }

    fn configure(&mut self, args: &Args<'_>) {
        let defaults = GroupConfig::default();
        self.harness = Harness::new(GroupConfig {
            initial_rebalance_delay_ms: args.number("delay", 3000) as i32,
            max_size: args.number("max_size", i64::from(i32::MAX)) as i32,
            offset_metadata_max_bytes: args.number("metadata_max", 4096) as i32,
            offsets_retention_ms: args.number("retention", defaults.offsets_retention_ms),
            ..defaults
        });
        self.logged = 0;
    }

    /// `join <name> group= member= instance= client= protocols=a:t1+t2,b session= rebalance= type= requires-id skip`
    fn join(&mut self, args: &Args<'_>) {
        let mut cmd = join_command(group(args), &full(args.value("member").unwrap_or("")));
        cmd.group_instance_id = args.value("instance").map(Arc::from);
        cmd.client_id = args.value("client").unwrap_or("c");
        cmd.requires_known_member_id = args.has("requires-id");
        cmd.can_skip_assignment = args.has("skip");
        cmd.session_timeout_ms = args.number("session", 10_000) as i32;
        cmd.rebalance_timeout_ms = args.number("rebalance", 60_000) as i32;
        cmd.protocol_type = args.value("type").unwrap_or("consumer");
        let protocol = |text: &str| {
            let (name, topics) = text.split_once(':').unwrap_or((text, "t"));
            (Arc::from(name), subscription(&topics.split('+').collect::<Vec<_>>()))
        };
        cmd.protocols = args
            .value("protocols")
            .unwrap_or("range")
            .split(',')
            .filter(|text| !text.is_empty())
            .map(protocol)
            .collect();
        let token = self.harness.join(cmd);
        self.names.insert(token, args.word(1).to_owned());
    }

    /// `sync <name> group= member= gen= assign=member:text,… instance= type= protocol=`
    fn sync(&mut self, args: &Args<'_>) {
        let shares: Vec<(String, &str)> = args
            .value("assign")
            .into_iter()
            .flat_map(|shares| shares.split(','))
            .map(|share| share.split_once(':').map(|(id, share)| (full(id), share)).unwrap())
            .collect();
        let shares: Vec<(&str, &str)> = shares.iter().map(|(id, share)| (id.as_str(), *share)).collect();
        let member = full(args.value("member").unwrap_or(""));
        let mut cmd = sync_command(group(args), &member, args.number("gen", 0) as i32, &shares);
        cmd.group_instance_id = args.value("instance").map(Arc::from);
        cmd.protocol_type = args.value("type");
        cmd.protocol_name = args.value("protocol");
        let token = self.harness.sync(cmd);
        self.names.insert(token, args.word(1).to_owned());
    }

    /// `leave group= member|member/instance …`
    fn leave(&mut self, args: &Args<'_>) {
        let leaving: Vec<(String, Option<&str>)> = args.words[1..]
            .iter()
            .filter(|word| !word.contains('='))
            .map(|word| {
                let (id, instance) = word.split_once('/').map_or((*word, None), |(id, instance)| (id, Some(instance)));
                (full(id), instance)
            })
            .collect();
        let leaving = leaving.iter().map(|(id, instance)| (id.as_str(), *instance)).collect();
        let token = self.harness.leave(group(args), leaving);
        self.names.insert(token, "leave".into());
    }

    /// `commit t-0=5,u-1=7 group= member= gen= metadata= retention= producer=`
    fn commit(&mut self, args: &Args<'_>) {
        let now_ms = self.harness.now_ms;
        let offsets: Vec<(&str, i32, i64)> = args
            .word(1)
            .split(',')
            .map(|text| {
                let (tp, offset) = text.split_once('=').unwrap();
                let (topic, index) = tp.rsplit_once('-').unwrap();
                (topic, index.parse().unwrap(), offset.parse().unwrap())
            })
            .collect();
        let member = full(args.value("member").unwrap_or(""));
        let mut cmd = commit_command(group(args), &member, args.number("gen", -1) as i32, now_ms, &offsets);
        cmd.group_instance_id = args.value("instance").map(Arc::from);
        let producer = |id: &str| TransactionalProducer {
            id: id.parse().unwrap(),
            epoch: 0,
            verification: Verification::NotRequired,
        };
        cmd.transaction = args.value("producer").map(producer);
        for value in cmd.offsets.values_mut() {
            value.metadata = args.value("metadata").unwrap_or("").into();
            value.expire_timestamp = args.value("retention").map(|ms| now_ms + ms.parse::<i64>().unwrap());
        }
        let token = self.harness.commit(cmd);
        self.names.insert(token, "commit".into());
    }

    fn fetch(&self, args: &Args<'_>, out: &mut String) {
        let asked = Some(args.word(1)).filter(|asked| *asked != "all").map(partitions);
        for fetched in self.harness.shard.fetch_offsets(group(args), asked, args.has("stable")) {
            write!(out, "{} = {}", fetched.topic_partition, fetched.offset).unwrap();
            if !fetched.metadata.is_empty() {
                write!(out, " '{}'", fetched.metadata).unwrap();
            }
            writeln!(out, "{}", suffix(fetched.error)).unwrap();
        }
    }

    fn describe(&self, args: &Args<'_>, out: &mut String) {
        let group = self.harness.shard.describe(group(args));
        writeln!(out, "{} type={} protocol={}", group.state, group.protocol_type, group.protocol).unwrap();
        for member in group.members {
            let instance = member.group_instance_id.map(|id| format!("/{id}")).unwrap_or_default();
            let share = String::from_utf8_lossy(&member.assignment);
            writeln!(out, "  {}{instance} assigned '{share}'", short(&member.member_id)).unwrap();
        }
    }

    fn tell_log(&mut self, out: &mut String) {
        for entry in &self.harness.log[self.logged..] {
            let Logged::Batch { base_offset, records, .. } = entry else { continue };
            for record in records {
                write!(out, "log@{base_offset}: ").unwrap();
                match (read_key(&record.key).unwrap(), &record.value) {
                    (RecordKey::Offset { group, topic_partition }, None) => {
                        writeln!(out, "{group} {topic_partition} tombstone").unwrap();
                    }
                    (RecordKey::Offset { group, topic_partition }, Some(value)) => {
                        let value = read_offset_value(value).unwrap();
                        writeln!(out, "{group} {topic_partition} = {}", value.offset).unwrap();
                    }
                    (RecordKey::Group { group }, None) => writeln!(out, "{group} tombstone").unwrap(),
                    (RecordKey::Group { group }, Some(value)) => {
                        let value = read_group_value(value).unwrap();
                        let ids: Vec<_> = value.members.iter().map(|member| short(&member.member_id)).collect();
                        writeln!(out, "{group} gen={} members={}", value.generation, ids.join(",")).unwrap();
                    }
                    (key, _) => panic!("{key:?}"),
                }
            }
        }
        self.logged = self.harness.log.len();
    }

    fn tell_replies(&mut self, out: &mut String) {
        for (to, reply) in std::mem::take(&mut self.harness.replies) {
            let name = self.names.swap_remove(&to).unwrap_or_else(|| "?".into());
            tell_reply(out, &name, reply);
        }
    }
}

fn group<'a>(args: &Args<'a>) -> &'a str {
    args.value("group").unwrap_or("g")
}

fn partitions(text: &str) -> Vec<TopicPartition> {
    text.split(',')
        .map(|tp| {
            let (topic, index) = tp.rsplit_once('-').unwrap();
            TopicPartition::new(topic, index.parse().unwrap())
        })
        .collect()
}

fn suffix(error: ErrorCode) -> String {
    if error.is_none() { String::new() } else { format!(" {error}") }
}

fn tell_reply(out: &mut String, name: &str, reply: Reply) {
    match reply {
        Reply::Join(join) if !join.error.is_none() => {
            writeln!(out, "{name}: join {} id={}", join.error, short(&join.member_id)).unwrap();
        }
        Reply::Join(join) => {
            let (id, leader) = (short(&join.member_id), short(&join.leader));
            let protocol = join.protocol_name.unwrap_or_default();
            write!(out, "{name}: joined gen={} id={id} leader={leader} protocol={protocol}", join.generation).unwrap();
            let members: Vec<_> = join.members.iter().map(|member| short(&member.member_id)).collect();
            if !members.is_empty() {
                write!(out, " members={}", members.join(",")).unwrap();
            }
            writeln!(out, "{}", if join.skip_assignment { " skip" } else { "" }).unwrap();
        }
        Reply::Sync(sync) if !sync.error.is_none() => writeln!(out, "{name}: sync {}", sync.error).unwrap(),
        Reply::Sync(sync) => {
            writeln!(out, "{name}: synced '{}'", String::from_utf8_lossy(&sync.assignment)).unwrap();
        }
        Reply::Leave(leave) => {
            writeln!(out, "{name}: left{}", suffix(leave.error)).unwrap();
            for member in leave.members {
                writeln!(out, "  '{}' {}", short(&member.member_id), member.error).unwrap();
            }
        }
        Reply::Commit(answers) | Reply::DeleteOffsets(Ok(answers)) => {
            for (tp, error) in answers {
                writeln!(out, "{name}: {tp} {error}").unwrap();
            }
        }
        Reply::DeleteOffsets(Err(error)) | Reply::DeleteGroup(error) => writeln!(out, "{name}: {error}").unwrap(),
    }
}
