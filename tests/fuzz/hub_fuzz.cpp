#include "node/hub.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>

#include "overlay/record_codec.hpp"
#include "wire/frames.hpp"
#include "wire/records.hpp"

namespace {

using namespace bzmq;
using namespace std::chrono_literals;

endpoint_id id_of(std::uint8_t number) {
    endpoint_id::bytes_type bytes{};
    bytes[0] = number;
    return endpoint_id{bytes};
}
constexpr std::uint8_t self = 1;
constexpr std::uint8_t ids = 6;  // 2 and 3 are the peers' usual ids, the rest lie behind them

/// The world of one hub. Checks what the hub promises to its shell.
struct world final : node::hub_output {
    std::map<node::link_id, bool> open;  ///< by link: outgoing
    std::vector<node::target_id> wanted;
    std::size_t seen = 0;

    void send(node::link_id link, shared_bytes frame) override {
        if (!open.contains(link) || frame.empty()) {
            std::abort();
        }
        for (const auto byte : frame.span()) {
            seen += static_cast<std::size_t>(byte);
        }
    }
    void close(node::link_id link) override {
        if (open.erase(link) == 0) {
            std::abort();
        }
    }
    void connect(node::target_id target) override { wanted.push_back(target); }
    void deliver(std::span<const node::subscriber_id> to, const batch_ptr& batch,
                 std::vector<node::subscriber_id>& full) override {
        std::size_t count = 0;
        wire::record_cursor cursor{batch->records.span()};
        for (wire::record record; cursor.next(record);) {
            ++count;
            for (const auto byte : record.payload) {
                seen += static_cast<std::size_t>(byte);
            }
        }
        if (cursor.malformed() || count != batch->count || to.empty()) {
            std::abort();
        }
        if (seen % 4 == 0) {
            full.push_back(to.front());
        }
    }
    void notify(status_variant what) override { seen += to_string(what).size(); }
    block_ptr allocate(std::size_t capacity) override { return block_ptr{new_heap_block(capacity)}; }
    void pong(node::request_id, std::chrono::nanoseconds, std::vector<endpoint_id> path) override {
        seen += path.size();
    }
    void filter_confirmed(node::request_id) override { ++seen; }
};

std::vector<std::byte> hello(wire::frame_type type, std::uint8_t peer, std::uint64_t sequence) {
    wire::hello_frame frame;
    frame.id = id_of(peer);
    overlay::topology_record topology;
    topology.origin = frame.id;
    topology.sequence = sequence;
    for (std::uint8_t other = self; other <= ids; ++other) {
        topology.neighbours.push_back({id_of(other), 10});
    }
    overlay::filter_record filter;
    filter.origin = frame.id;
    filter.sequence = sequence;
    filter.prefixes = {"a"};
    frame.topology = overlay::encode(topology);
    frame.filter = overlay::encode(filter);
    return wire::encode(type, frame);
}

/// Reads operations off the input and carries them out.
class driver {
  public:
    explicit driver(std::span<const std::byte> input) : in_(input) {
        node::hub_options options;
        options.self = id_of(self);
        options.frame_bytes = 2048;
        options.part_bytes = 200;
        options.message_bytes_max = 8 * 1024;
        options.link_window_bytes = 16 * 1024;
        options.peer_queue_bytes = 64 * 1024;
        options.peer_queue_messages = 64;
        options.reliable_window_bytes = 8 * 1024;
        options.peer_overflow = static_cast<overflow_policy>(in_.u8() & 3);
        hub_ = std::make_unique<node::hub>(options, world_);
        hub_->add_subscriber(now_, 1, {"a"});
        link(2);
        link(3);
    }

    void run() {
        for (unsigned i = 0; i < 200 && !in_.done(); ++i) {
            step();
            if (hub_->next_deadline() < 0ns) {
                std::abort();
            }
        }
        hub_->shutdown(now_);
        for (unsigned i = 0; i < 8 && !hub_->drained(); ++i) {
            now_ += 1s;
            hub_->tick(now_);
        }
        if (!hub_->drained() || !world_.open.empty()) {
            std::abort();
        }
    }

  private:
    node::link_id some_link() {
        if (world_.open.empty()) {
            return last_link_ + 1;
        }
        auto at = world_.open.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(in_.u8() % world_.open.size()));
        return at->first;
    }
    void give(node::link_id link, std::span<const std::byte> frame) {
        hub_->frame_received(now_, link, shared_bytes::copy_of(frame));
    }
    /// A link over which the handshake is complete.
    void link(std::uint8_t peer) {
        const auto id = ++last_link_;
        world_.open[id] = false;
        hub_->link_opened(now_, id, node::no_target, "in", "");
        give(id, hello(wire::frame_type::hello, peer, ++hellos_));
        give(id, wire::encode_ready());
        sequences_[id] = 0;
    }
    std::span<const std::byte> some_bytes() {
        const auto length = in_.fixed<std::uint16_t>();
        return in_.bytes(std::min<std::size_t>(length % 2048, in_.remaining()));
    }
    void batch_start(byte_writer& out, node::link_id link) {
        out.u8(static_cast<std::uint8_t>(wire::frame_type::batch));
        out.varint(++sequences_[link]);
        out.varint(0);
        out.varint(0);
    }
    /// A well-formed batch that defines all ids and a tree, and brings one section of it.
    void section() {
        const auto link = some_link();
        std::vector<std::byte> bytes;
        byte_writer out{bytes};
        batch_start(out, link);
        for (std::uint8_t i = 0; i <= ids; ++i) {
            out.u8(static_cast<std::uint8_t>(wire::item_tag::node));
            out.varint(i);
            out.id(id_of(i));
        }
        const auto shape = in_.u8();
        const unsigned children = shape & 3;
        out.u8(static_cast<std::uint8_t>(wire::item_tag::tree));
        out.varint(0);
        out.varint(1 + in_.u8() % ids);  // origin
        out.varint(children + 1);
        out.varint(self << 1 | (shape >> 2 & 1));
        out.varint(children);
        for (unsigned i = 0; i < children; ++i) {
            out.varint(static_cast<unsigned>(1 + in_.u8() % ids) << 1 | 1U);
            out.varint(0);
        }
        wire::section_head head;
        head.flags = static_cast<std::uint8_t>((shape >> 3 & 7) | wire::section_uniform);
        head.number = in_.u8();
        head.distances = {in_.u8()};
        head.hops = in_.u8() & 127;
        head.path_tag = in_.u8();
        const auto records = in_.u8();
        head.records = records & 3;
        const auto payload = some_bytes();
        if ((records & 0x80) != 0) {
            head.flags |= wire::section_in_parts;
            head.total = payload.size() + (records & 0x7c);
        }
        std::byte raw[256];
        out.bytes({raw, wire::put_section_head(raw, head, payload.size())});
        out.bytes(payload);
        give(link, bytes);
    }
    /// More of a section that came in parts, perhaps.
    void part() {
        const auto link = some_link();
        std::vector<std::byte> bytes;
        byte_writer out{bytes};
        batch_start(out, link);
        const auto lane = static_cast<wire::part_lane>(in_.u8() & 1);
        const auto payload = some_bytes();
        std::byte raw[wire::part_head_bytes_max];
        out.bytes({raw, wire::put_part_head(raw, lane, payload.size())});
        out.bytes(payload);
        give(link, bytes);
    }
    void publish() {
        const auto mode = static_cast<delivery_mode>(in_.u8() & 1);
        std::vector<std::byte> bytes(wire::record_size("ab", 300, false));
        wire::put_record_head(bytes.data(), "ab", 300, false);
        const auto records = shared_bytes::copy_of(bytes);
        if ((in_.u8() & 1) != 0) {
            hub_->publish_to(now_, timestamp{}, id_of(1 + in_.u8() % ids), mode, records);
        } else if (hub_->publish_ready(mode)) {
            hub_->publish(now_, timestamp{}, mode, records, 0);
        }
    }
    void step() {
        switch (in_.u8() % 16) {
            case 0:
                give(some_link(), some_bytes());
                break;
            case 1: {  // Anything inside a batch that comes in order.
                const auto link = some_link();
                std::vector<std::byte> bytes;
                byte_writer out{bytes};
                batch_start(out, link);
                out.bytes(some_bytes());
                give(link, bytes);
                break;
            }
            case 2:
            case 3:
            case 4:
                section();
                break;
            case 5: {  // A link-state record or digest.
                const auto link = some_link();
                std::vector<std::byte> bytes;
                byte_writer out{bytes};
                batch_start(out, link);
                overlay::topology_record record;
                record.origin = id_of(1 + in_.u8() % ids);
                record.sequence = in_.u8() == 255 ? in_.fixed<std::uint64_t>() : in_.u8() + 1U;
                record.flags = in_.u8() & 1;
                for (auto mask = in_.u8(); mask != 0;
                     mask = static_cast<std::uint8_t>(mask & (mask - 1))) {
                    const auto other = static_cast<std::uint8_t>(std::countr_zero(mask) % ids + 1);
                    record.neighbours.push_back({id_of(other), in_.u8()});
                }
                const auto body = overlay::encode(record);
                out.u8(static_cast<std::uint8_t>(wire::item_tag::topology));
                out.varint(body.size());
                out.bytes(body);
                give(link, bytes);
                break;
            }
            case 6:
                link(static_cast<std::uint8_t>(2 + in_.u8() % 3));
                break;
            case 7: {
                const auto link = some_link();
                if (world_.open.erase(link) != 0) {
                    hub_->link_closed(now_, link, error{ec::peer_unavailable});
                }
                break;
            }
            case 8:
                publish();
                break;
            case 9:
                hub_->add_target(now_, ++last_target_, "out", (in_.u8() & 1) != 0);
                targets_.push_back(last_target_);
                break;
            case 10:
                if (!world_.wanted.empty()) {
                    const auto target = world_.wanted.back();
                    world_.wanted.pop_back();
                    if ((in_.u8() & 3) == 0) {
                        hub_->connect_failed(now_, target, error{ec::peer_unavailable});
                        break;
                    }
                    const auto id = ++last_link_;
                    world_.open[id] = true;
                    hub_->link_opened(now_, id, target, "out", "");
                    give(id, hello(wire::frame_type::welcome,
                                   static_cast<std::uint8_t>(in_.u8() % 4), ++hellos_));
                }
                break;
            case 11:
                if (!targets_.empty()) {
                    hub_->remove_target(now_, targets_[in_.u8() % targets_.size()]);
                }
                break;
            case 12:
                if (in_.u8() % 2 == 0) {
                    hub_->set_filter(now_, 1, {std::string(in_.u8() % 3, 'a')});
                } else {
                    hub_->subscriber_drained(now_, 1);
                }
                break;
            case 14:
                part();
                break;
            case 13:
                hub_->ping(now_, 1, id_of(in_.u8() % 8));
                hub_->confirm_filter(now_, in_.u8());
                break;
            default: {
                const auto code = in_.u8();
                now_ += code < 128 ? 1ms * code : 1ms * (50 * (code - 127));
                hub_->tick(now_);
                break;
            }
        }
        hub_->flush(now_);
        if (hub_->buffered_bytes() > 16 * 1024 * 1024) {
            std::abort();
        }
    }

    byte_reader in_;
    world world_;
    std::unique_ptr<node::hub> hub_;
    instant now_ = 1s;
    node::link_id last_link_ = 0;
    node::target_id last_target_ = 0;
    std::vector<node::target_id> targets_;
    std::map<node::link_id, std::uint64_t> sequences_;
    std::uint64_t hellos_ = 0;
};

}  // namespace

// A hub with links through a valid handshake: whatever frames come, and whatever happens between
// them, it keeps its promises to the shell and its bounds, and shuts down when told.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    driver{std::as_bytes(std::span{bytes, size})}.run();
    return 0;
}
