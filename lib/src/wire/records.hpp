#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.hpp"

/// A batch's payload is a run of records:
///
///     record := varint 0 | varint (topic length + 1), topic bytes    the topic; 0 repeats the last
///               varint data length, data bytes                       the value in msgpack form
///
/// The first record of a batch always spells its topic out.
namespace bzmq::wire {

struct record {
    std::string_view topic;
    std::span<const std::byte> payload;
    const std::byte* begin = nullptr;  ///< where the record starts
    bool same_topic = false;           ///< it repeats the topic of the record before it
};

/// Walks the records of a batch. Never reads past the end.
class record_cursor {
  public:
    explicit record_cursor(std::span<const std::byte> records, std::string_view topic = {}) noexcept
        : reader_(records), topic_(topic), has_topic_(!topic.empty()) {}

    /// Yields the next record; false at the end, or where the bytes are malformed.
    bool next(record& out) noexcept {
        if (reader_.done()) {
            return false;
        }
        out.begin = reader_.position();
        const auto topic_code = reader_.varint();
        out.same_topic = topic_code == 0;
        if (topic_code != 0) {
            topic_ = reader_.text(topic_code - 1);
            has_topic_ = true;
        } else if (!has_topic_) {
            reader_.fail();
        }
        out.payload = reader_.bytes(reader_.varint());
        out.topic = topic_;
        return !reader_.failed();
    }
    [[nodiscard]] bool malformed() const noexcept { return reader_.failed(); }
    [[nodiscard]] const std::byte* position() const noexcept { return reader_.position(); }

  private:
    byte_reader reader_;
    std::string_view topic_;
    bool has_topic_;
};

/// Bytes that a record takes; `same_topic` where it repeats the topic before it.
inline std::size_t record_size(std::string_view topic, std::size_t data_size,
                               bool same_topic) noexcept {
    const auto head = same_topic ? 1 : varint_size(topic.size() + 1) + topic.size();
    return head + varint_size(data_size) + data_size;
}

/// Writes a record up to where its data goes and returns that place.
inline std::byte* put_record_head(std::byte* to, std::string_view topic, std::size_t data_size,
                                  bool same_topic) noexcept {
    if (same_topic) {
        *to++ = std::byte{0};
    } else {
        to = put_varint(to, topic.size() + 1);
        std::memcpy(to, topic.data(), topic.size());
        to += topic.size();
    }
    return put_varint(to, data_size);
}

}  // namespace bzmq::wire
