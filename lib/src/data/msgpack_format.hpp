#pragma once

#include <cstddef>
#include <cstdint>

/// The bytes of the msgpack specification, and the extension types that docs/data-model.md assigns.
namespace bzmq::msgpack_format {

constexpr std::uint8_t fixmap = 0x80;
constexpr std::uint8_t fixarray = 0x90;
constexpr std::uint8_t nil_byte = 0xc0;
constexpr std::uint8_t false_byte = 0xc2;
constexpr std::uint8_t true_byte = 0xc3;
constexpr std::uint8_t bin8 = 0xc4;
constexpr std::uint8_t bin16 = 0xc5;
constexpr std::uint8_t bin32 = 0xc6;
constexpr std::uint8_t ext8 = 0xc7;
constexpr std::uint8_t ext16 = 0xc8;
constexpr std::uint8_t ext32 = 0xc9;
constexpr std::uint8_t float64 = 0xcb;
constexpr std::uint8_t uint8 = 0xcc;
constexpr std::uint8_t uint16 = 0xcd;
constexpr std::uint8_t uint32 = 0xce;
constexpr std::uint8_t uint64 = 0xcf;
constexpr std::uint8_t int8 = 0xd0;
constexpr std::uint8_t int16 = 0xd1;
constexpr std::uint8_t int32 = 0xd2;
constexpr std::uint8_t int64 = 0xd3;
constexpr std::uint8_t fixext1 = 0xd4;
constexpr std::uint8_t fixext2 = 0xd5;
constexpr std::uint8_t fixext4 = 0xd6;
constexpr std::uint8_t fixext8 = 0xd7;
constexpr std::uint8_t fixext16 = 0xd8;
constexpr std::uint8_t array16 = 0xdc;
constexpr std::uint8_t array32 = 0xdd;
constexpr std::uint8_t map16 = 0xde;
constexpr std::uint8_t map32 = 0xdf;
constexpr std::uint8_t negative_fixint = 0xe0;

enum class ext : std::uint8_t {
    integer = 1,  // Not negative; negative ones are msgpack integers.
    address = 2,
    subnet = 3,
    port = 4,
    timespan = 5,
    enum_value = 6,
    set_marker = 7,    // The first element of an array that stands for a set. Empty.
    timestamp = 0xff,  // -1, the timestamp of the msgpack specification.
};

constexpr std::size_t set_marker_size = 3;
constexpr std::uint64_t canonical_nan = 0x7ff8000000000000;

}  // namespace bzmq::msgpack_format
