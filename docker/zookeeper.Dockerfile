# Apache ZooKeeper where no registry offers zookeeper:3.8: the release's jars on a Java runtime, both brought by `docker/build`.
# Configuration, data and port lie where the official image has them.
ARG BASE
FROM ${BASE}
COPY java /opt/java
COPY lib /opt/zookeeper/lib
COPY zoo.cfg log4j.properties /conf/
RUN mkdir -p /data
EXPOSE 2181
VOLUME ["/data"]
CMD ["/opt/java/bin/java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", "/conf:/opt/zookeeper/lib/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain", "/conf/zoo.cfg"]
