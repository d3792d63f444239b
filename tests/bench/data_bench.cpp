#include "data/msgpack_codec.hpp"
#include "data/ordered_codec.hpp"
#include <benchmark/benchmark.h>

#include <chrono>
#include <string>
#include <vector>

namespace bzmq {
namespace {

data text_of_64_bytes() {
    return std::string(64, 'x');
}

/// What a sensor would publish: a time, two end points, a protocol, three numbers, a label.
data small_record() {
    return vector{timestamp{std::chrono::nanoseconds{1'700'000'000'123'456'789}},
                  *address::parse("192.0.2.1"),
                  port{49152, port::protocol::tcp},
                  *address::parse("198.51.100.7"),
                  port{443, port::protocol::tcp},
                  1514U,
                  -3,
                  0.25,
                  "established",
                  true};
}

void run_encode(benchmark::State& state, const data& value) {
    std::vector<std::byte> room(encoded_size(value));
    for (auto _ : state) {
        benchmark::DoNotOptimize(value);
        const auto size = encoded_size(value);
        auto* end = encode_to(room.data(), value);
        benchmark::DoNotOptimize(size);
        benchmark::DoNotOptimize(end);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(room.size()));
}

void run_decode(benchmark::State& state, const data& value) {
    std::vector<std::byte> raw;
    if (!encode(value, raw)) {
        state.SkipWithError("cannot be encoded");
        return;
    }
    for (auto _ : state) {
        auto decoded = decode(raw);
        benchmark::DoNotOptimize(decoded);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(raw.size()));
}

void data_encode_string_64(benchmark::State& state) {
    run_encode(state, text_of_64_bytes());
}
void data_encode_record(benchmark::State& state) {
    run_encode(state, small_record());
}
void data_decode_string_64(benchmark::State& state) {
    run_decode(state, text_of_64_bytes());
}
void data_decode_record(benchmark::State& state) {
    run_decode(state, small_record());
}

void data_peek_string_64(benchmark::State& state) {
    std::vector<std::byte> raw;
    if (!encode(text_of_64_bytes(), raw)) {
        state.SkipWithError("cannot be encoded");
        return;
    }
    for (auto _ : state) {
        benchmark::DoNotOptimize(raw.data());
        auto text = peek_string(raw);
        benchmark::DoNotOptimize(text);
    }
}

void run_encode_ordered(benchmark::State& state, const data& value) {
    std::vector<std::byte> room;
    for (auto _ : state) {
        room.clear();
        benchmark::DoNotOptimize(value);
        benchmark::DoNotOptimize(encode_ordered(value, room));
        benchmark::ClobberMemory();
    }
}

void data_encode_ordered_string_16(benchmark::State& state) {
    run_encode_ordered(state, "/sensors/temp/01");
}
void data_encode_ordered_count(benchmark::State& state) {
    run_encode_ordered(state, 123'456U);
}
void data_decode_ordered_string_16(benchmark::State& state) {
    std::vector<std::byte> raw;
    if (!encode_ordered("/sensors/temp/01", raw)) {
        state.SkipWithError("cannot be encoded");
        return;
    }
    for (auto _ : state) {
        auto decoded = decode_ordered(raw);
        benchmark::DoNotOptimize(decoded);
    }
}

void data_to_json_record(benchmark::State& state) {
    const auto value = small_record();
    for (auto _ : state) {
        benchmark::DoNotOptimize(to_json(value));
    }
}

void data_from_json_record(benchmark::State& state) {
    const auto text = to_json(small_record());
    for (auto _ : state) {
        benchmark::DoNotOptimize(from_json(text));
    }
}

BENCHMARK(data_encode_string_64);
BENCHMARK(data_encode_record);
BENCHMARK(data_decode_string_64);
BENCHMARK(data_decode_record);
BENCHMARK(data_peek_string_64);
BENCHMARK(data_encode_ordered_string_16);
BENCHMARK(data_encode_ordered_count);
BENCHMARK(data_decode_ordered_string_16);
BENCHMARK(data_to_json_record);
BENCHMARK(data_from_json_record);

}  // namespace
}  // namespace bzmq
