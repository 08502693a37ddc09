package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Commit and abort, fencing, and read-transform-write with a group session.
func transactions(ctx context.Context, client func(more ...kgo.Opt) *kgo.Client, admin *kadm.Client) {
	step("create")
	_, err := admin.CreateTopics(ctx, 2, 1, nil, "fzt", "fzt-in", "fzt-out")
	fmt.Println(say(err))
	time.Sleep(500 * time.Millisecond)
	producer := func(id string) *kgo.Client {
		return client(kgo.TransactionalID(id), kgo.TransactionTimeout(30*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	record := func(topic string, i int, value string) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(fmt.Sprint(value, " ", i))}
	}
	write := func(c *kgo.Client, topic, value string, count int) error {
		for i := 0; i < count; i++ {
			if err := c.ProduceSync(ctx, record(topic, i, value)).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}
	// Everything up to the last stable offset, in order of partition and offset.
	show := func(topic string, isolation kgo.IsolationLevel, expected int) {
		reader := client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(isolation))
		defer reader.Close()
		var seen []string
		for len(seen) < expected && ctx.Err() == nil {
			reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				seen = append(seen, fmt.Sprintf("%d %3d %s", r.Partition, r.Offset, r.Value))
			})
		}
		sort.Strings(seen)
		fmt.Println(strings.Join(seen, "\n"))
	}

	// Markers, and with them a group's offsets, are written after EndTxn is answered: wait for them before looking.
	settle := func(id string) string {
		for ctx.Err() == nil {
			described, err := admin.DescribeTransactions(ctx, id)
			if state := described[id].State; err != nil || !strings.HasPrefix(state, "Prepare") {
				return state
			}
			time.Sleep(20 * time.Millisecond)
		}
		return "transactions do not settle"
	}

	step("commit, abort, commit")
	p := producer("fzt-1")
	for round, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		fmt.Println(say(p.BeginTransaction()), say(write(p, "fzt", fmt.Sprint("round ", round), 4)), say(p.Flush(ctx)), say(p.EndTransaction(ctx, end)))
	}
	fmt.Println(say(p.BeginTransaction()), say(p.EndTransaction(ctx, kgo.TryCommit)), "an empty one")
	show("fzt", kgo.ReadCommitted(), 8)
	show("fzt", kgo.ReadUncommitted(), 12)

	step("fencing")
	fmt.Println(say(p.BeginTransaction()), say(write(p, "fzt", "of the first", 2)))
	q := producer("fzt-1")
	// The first's transaction is aborted for the second; until that is done it is told CONCURRENT_TRANSACTIONS.
	begun := q.BeginTransaction()
	for i := 0; i < 100 && begun != nil && ctx.Err() == nil; i++ {
		time.Sleep(50 * time.Millisecond)
		begun = q.BeginTransaction()
	}
	fmt.Println(say(begun), say(write(q, "fzt", "of the second", 2)), say(q.EndTransaction(ctx, kgo.TryCommit)))
	fmt.Println(say(write(p, "fzt", "late", 1)))
	fmt.Println(say(p.EndTransaction(ctx, kgo.TryCommit)))
	p.Close()
	q.Close()
	show("fzt", kgo.ReadCommitted(), 10)
	settle("fzt-1")
	described, err := admin.DescribeTransactions(ctx, "fzt-1")
	fmt.Println(say(err))
	for _, one := range described.Sorted() {
		fmt.Println(one.TxnID, one.State, one.TimeoutMillis, say(one.Err))
	}

	step("read, transform, write")
	in := client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	fmt.Println(say(write(in, "fzt-in", "in", 40)))
	in.Close()
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(in.OptValue(kgo.SeedBrokers).([]string)...), kgo.TransactionalID("fzt-2"), kgo.ConsumerGroup("fzt-group"),
		kgo.ConsumeTopics("fzt-in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		fmt.Println(say(err))
		return
	}
	written, aborted := 0, false
	for written < 40 && ctx.Err() == nil {
		fetches := session.PollRecords(ctx, 7)
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			fmt.Println("begin", say(err))
			return
		}
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: "fzt-out", Partition: r.Partition, Value: append([]byte("out of "), r.Value...)}, func(_ *kgo.Record, err error) {
				if err != nil && aborted { // what is thrown away may have been on its way
					fmt.Println("produce", say(err))
				}
			})
		})
		// The first batch is thrown away once: its records must come again.
		end := kgo.TransactionEndTry(aborted)
		aborted = true
		committed, err := session.End(ctx, end)
		if err != nil {
			fmt.Println("end", say(err))
			return
		}
		if committed {
			written += fetches.NumRecords()
		}
	}
	session.Close()
	fmt.Println(settle("fzt-2"))
	offsets, err := admin.FetchOffsets(ctx, "fzt-group")
	fmt.Println(written, say(err))
	for _, o := range offsets.Sorted() {
		fmt.Println(o.Topic, o.Partition, o.At)
	}
	reader := client(kgo.ConsumeTopics("fzt-out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	var seen []string
	for len(seen) < 40 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen = append(seen, string(r.Value)) })
	}
	sort.Strings(seen)
	fmt.Println(strings.Join(seen, "\n"))
}
