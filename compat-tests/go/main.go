// franz-go: prints a transcript of steps ("## label") free of ids and times.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func step(label string) { fmt.Println("## go:", label) }

func say(err error) string {
	if err == nil {
		return "ok"
	}
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return err.Error()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	boot := kgo.SeedBrokers(os.Args[1])
	client := func(more ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append([]kgo.Opt{boot}, more...)...)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return c
	}
	base := client()
	defer base.Close()
	admin := kadm.NewClient(base)
	if len(os.Args) > 2 && os.Args[2] == "transactions" {
		transactions(ctx, client, admin)
		return
	}

	step("create")
	retention := "9000000000000" // its records are of 2023
	made, err := admin.CreateTopics(ctx, 3, 1, map[string]*string{"retention.ms": &retention}, "fz", "fz bad")
	fmt.Println(say(err))
	for _, name := range []string{"fz", "fz bad"} {
		one := made[name]
		fmt.Println(one.Topic, say(one.Err), one.NumPartitions, one.ReplicationFactor)
	}
	time.Sleep(500 * time.Millisecond)

	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		step("produce " + name)
		producer := client(kgo.ProducerBatchCompression(codecs[name]), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		var records []*kgo.Record
		for i := 0; i < 30; i++ {
			records = append(records, &kgo.Record{Topic: "fz", Partition: int32(i % 3), Key: []byte(fmt.Sprint("k", i)), Value: []byte(fmt.Sprint(name, " ", i, " wwwwwwwwwwwwwwwwwwwwwwww")),
				Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "h", Value: nil}}, Timestamp: time.UnixMilli(1700000000000 + int64(i))})
		}
		var results []string
		for _, result := range producer.ProduceSync(ctx, records...) {
			results = append(results, fmt.Sprintf("%d %3d %s", result.Record.Partition, result.Record.Offset, say(result.Err)))
		}
		sort.Strings(results)
		fmt.Println(strings.Join(results, "\n"))
		producer.Close()
	}
	step("produce in acks 1")
	producer := client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	fmt.Println(say(producer.ProduceSync(ctx, &kgo.Record{Topic: "fz", Value: []byte("acks one")}).FirstErr()))
	producer.Close()

	step("consume")
	consumer := client(kgo.ConsumeTopics("fz"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var seen []string
	for len(seen) < 151 && ctx.Err() == nil {
		fetches := consumer.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			fmt.Println(e.Partition, say(e.Err))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			stamp := r.Timestamp.UnixMilli()
			if stamp > 1750000000000 {
				stamp = 0
			}
			seen = append(seen, fmt.Sprintf("%d %4d %s %s %v %d", r.Partition, r.Offset, r.Key, r.Value, r.Headers, stamp))
		})
	}
	consumer.Close()
	sort.Strings(seen)
	for _, line := range seen {
		fmt.Println(line)
	}

	step("group")
	member := client(kgo.ConsumerGroup("fz-group"), kgo.ConsumeTopics("fz"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	count := 0
	for count < 151 && ctx.Err() == nil {
		count += member.PollFetches(ctx).NumRecords()
	}
	fmt.Println(count, say(member.CommitUncommittedOffsets(ctx)))
	described, err := admin.DescribeGroups(ctx, "fz-group")
	fmt.Println(say(err))
	for _, group := range described.Sorted() {
		fmt.Println(group.Group, group.State, group.ProtocolType, group.Protocol, len(group.Members))
	}
	member.Close()
	lags, err := admin.Lag(ctx, "fz-group")
	fmt.Println(say(err))
	for _, lag := range lags.Sorted() {
		fmt.Println(lag.Group, lag.State, lag.Lag.Total())
	}

	step("offsets")
	ends, err := admin.ListEndOffsets(ctx, "fz")
	fmt.Println(say(err))
	for p := int32(0); p < 3; p++ {
		o, _ := ends.Lookup("fz", p)
		fmt.Println(p, o.Offset, say(o.Err))
	}
	after, err := admin.ListOffsetsAfterMilli(ctx, 1700000000015, "fz")
	fmt.Println(say(err))
	for p := int32(0); p < 3; p++ {
		o, _ := after.Lookup("fz", p)
		fmt.Println(p, o.Offset, o.Timestamp)
	}

	step("configs and clean up")
	configs, err := admin.DescribeTopicConfigs(ctx, "fz")
	fmt.Println(say(err))
	for _, resource := range configs {
		sort.Slice(resource.Configs, func(i, j int) bool { return resource.Configs[i].Key < resource.Configs[j].Key })
		for _, config := range resource.Configs {
			if config.Key == "retention.ms" || config.Key == "segment.bytes" {
				fmt.Println(config.Key, config.MaybeValue(), config.Source)
			}
		}
	}
	groups, err := admin.DeleteGroups(ctx, "fz-group", "fz-none")
	fmt.Println(say(err))
	for _, name := range []string{"fz-group", "fz-none"} {
		group := groups[name]
		fmt.Println(group.Group, say(group.Err))
	}
	deleted, err := admin.DeleteTopics(ctx, "fz", "fz-none")
	fmt.Println(say(err))
	for _, name := range []string{"fz", "fz-none"} {
		topic := deleted[name]
		fmt.Println(topic.Topic, say(topic.Err))
	}
}
