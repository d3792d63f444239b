#include "log_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log_text.hpp"
#include "source_dir.hpp"
#include "zeek_log_reader.hpp"
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <sstream>
#include <vector>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

const timestamp noon{std::chrono::seconds{1'712'923'200}};  // 2024-04-12 12:00:00

/// The lines of a file, packed or not.
std::vector<std::string> lines_of(const fs::path& file) {
    auto* in = gzopen(file.c_str(), "rb");
    EXPECT_NE(in, nullptr) << file;
    std::vector<std::string> out;
    std::string text;
    std::vector<char> block(1 << 16);
    for (int got = 0; (got = gzread(in, block.data(), 1 << 16)) > 0;) {
        text.append(block.data(), static_cast<std::size_t>(got));
    }
    gzclose(in);
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);) {
        out.push_back(line);
    }
    return out;
}

std::vector<std::string> sorted_records(const fs::path& file) {
    auto out = lines_of(file);
    std::erase_if(out, [](const std::string& line) { return line.starts_with('#'); });
    std::sort(out.begin(), out.end());
    return out;
}

class log_writer_test : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("bzmq-logs-" + std::to_string(getpid()));
        fs::remove_all(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::unique_ptr<log_writer> open(log_writer_options how = {}) {
        how.folder = folder_;
        auto made = log_writer::open(how, [this](std::string_view text) {
            const std::lock_guard lock{mutex_};
            told_.emplace_back(text);
        });
        EXPECT_TRUE(made) << to_string(made.error());
        return std::move(*made);
    }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator{folder_}) {
            if (entry.path().filename().string().front() != '.') {
                out.push_back(entry.path().filename());
            }
        }
        std::sort(out.begin(), out.end());
        return out;
    }
    std::vector<std::string> lines(const std::string& name) const {
        return lines_of(folder_ / name);
    }

    fs::path folder_;
    std::mutex mutex_;
    std::vector<std::string> told_;
};

const log_schema one_count{"test", {{"n", "count"}}};
const std::vector<data> one{data{1u}};

TEST_F(log_writer_test, lines_that_are_no_records_are_rotated_by_size_too) {
    log_writer_options how;
    how.rotate_bytes = 10;
    auto writer = open(how);
    ASSERT_TRUE(writer->write_rejected("0123456789"));
    ASSERT_TRUE(writer->rotate(noon));
    ASSERT_TRUE(writer->write_rejected("more"));
    ASSERT_TRUE(writer->rotate(noon));
    ASSERT_TRUE(writer->close(noon));
    EXPECT_THAT(names(), ElementsAre("rejected.2024-04-12-12-00-00.log", "rejected.log"));
    EXPECT_THAT(lines("rejected.log"), ElementsAre("more"));
}

TEST_F(log_writer_test, a_tab_separated_log_has_zeeks_headers) {
    auto writer = open();
    ASSERT_TRUE(writer->write(one_count, one, noon));
    ASSERT_TRUE(writer->close(noon + 5s));
    EXPECT_EQ(writer->records(), 1u);
    EXPECT_THAT(lines("test.log"),
                ElementsAre("#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)",
                            "#unset_field\t-", "#path\ttest", "#open\t2024-04-12-12-00-00",
                            "#fields\tn", "#types\tcount", "1", "#close\t2024-04-12-12-00-05"));
}

std::string tsv(const data& value) {
    std::string out;
    append_tsv_record(out, std::vector<data>{value});
    out.pop_back();
    return out;
}

std::string json(const data& value, json_time times = json_time::epoch) {
    std::string out;
    append_json_record(out, {"test", {{"x", "?"}}}, std::vector<data>{value}, times);
    return out.substr(5, out.size() - 7);  // {"x":...}\n
}

TEST(log_text, tab_separated_values_are_as_zeek_writes_them) {
    const std::vector<std::pair<data, std::string>> cases{
        {data{}, "-"},
        {data{"-"}, "\\x2d"},
        {data{""}, "(empty)"},
        {data{"(empty)"}, "\\x28empty)"},
        {data{"#no header"}, "\\x23no header"},
        {data{"tab\tline\nback\\slash"}, "tab\\x09line\\x0aback\\\\slash"},
        {data{"gr\xc3\xbc\xc3\x9f"}, "gr\xc3\xbc\xc3\x9f"},
        {data{"\xff\xc3"}, "\\xff\\xc3"},
        {data{"a,b"}, "a,b"},
        {data{vector{"a,b", "", nil, "-"}}, "a\\x2cb,(empty),-,\\x2d"},
        {data{set{}}, "(empty)"},
        {data{vector{}}, "(empty)"},
        {data{timestamp{1521911720865716us}}, "1521911720.865716"},
        {data{timestamp{1521911720s}}, "1521911720.000000"},
        {data{timestamp{1521911720123456789ns}}, "1521911720.123456789"},
        {data{-870us}, "-0.000870"},
        {data{timespan::min()}, "-9223372036.854775808"},
        {data{0.1}, "0.1"},
        {data{2.0}, "2.0"},
        {data{1e300}, "1e+300"},
        {data{true}, "T"},
        {data{std::numeric_limits<std::int64_t>::min()}, "-9223372036854775808"},
        {data{~std::uint64_t{0}}, "18446744073709551615"},
        {data{port{53, port::protocol::udp}}, "53"},
        {data{enum_value{"SSL::Bad"}}, "SSL::Bad"},
        {data{*address::parse("2001:DB8::1")}, "2001:db8::1"},
        {data{*subnet::parse("10.0.0.0/8")}, "10.0.0.0/8"},
    };
    for (const auto& [value, text] : cases) {
        EXPECT_EQ(tsv(value), text);
    }
}

TEST(log_text, json_values_are_as_zeek_writes_them) {
    EXPECT_EQ(json(data{timestamp{1521911720865716us}}), "1521911720.865716");
    EXPECT_EQ(json(data{timestamp{1521911720s}}), "1521911720.0");
    EXPECT_EQ(json(data{timestamp{1521911720865716us}}, json_time::iso8601),
              "\"2018-03-24T17:15:20.865716Z\"");
    EXPECT_EQ(json(data{timestamp{1521911720s}}, json_time::iso8601),
              "\"2018-03-24T17:15:20.000000Z\"");
    EXPECT_EQ(json(data{timestamp{1521911720123456789ns}}, json_time::iso8601),
              "\"2018-03-24T17:15:20.123456789Z\"");
    EXPECT_EQ(json(data{1h}), "3600.0");
    EXPECT_EQ(json(data{0.5}), "0.5");
    EXPECT_EQ(json(data{std::numeric_limits<double>::quiet_NaN()}), "null");
    EXPECT_EQ(json(data{vector{1u, "a\"\\\n\x01"}}), R"([1,"a\"\\\n\u0001"])");
    EXPECT_EQ(json(data{"\xff"}), R"("\\xff")");
    EXPECT_EQ(json(data{port{53, port::protocol::udp}}), "53");
    EXPECT_EQ(json(data{set{}}), "[]");
}

TEST_F(log_writer_test, every_type_comes_back_equal) {
    const log_schema schema{"all",
                            {{"ts", "time"},
                             {"d", "interval"},
                             {"n", "count"},
                             {"i", "int"},
                             {"r", "double"},
                             {"b", "bool"},
                             {"a", "addr"},
                             {"s", "subnet"},
                             {"e", "enum"},
                             {"t", "string"},
                             {"set", "set[string]"},
                             {"vec", "vector[interval]"},
                             {"none", "count"}}};
    std::vector<vector> rows;
    for (const auto* text : {"", "-", "(empty)", "#", "\\x41", "a\tb\nc\rd", "\xff\xfe", "ü,ß", "\x7f"}) {
        rows.push_back({timestamp{1521911720123456789ns}, -1ns, 7u, -3, 0.1 + 0.2, false,
                        *address::parse("::1"), *subnet::parse("::/0"), enum_value{"A::B"}, text,
                        set{text, "more"}, vector{1s, nil, -2ns}, nil});
    }
    rows.push_back({timestamp{timespan{-5}}, timespan::max() - 1s, 0u, 0, -0.0, true,
                    *address::parse("255.255.255.255"), *subnet::parse("10.0.0.0/8"),
                    enum_value{"x"}, "x", set{}, vector{}, 1u});
    auto writer = open();
    for (const auto& row : rows) {
        ASSERT_TRUE(writer->write(schema, row, noon));
    }
    ASSERT_TRUE(writer->close(noon));
    auto reader = zeek_log_reader::open(folder_ / "all.log");
    ASSERT_TRUE(reader);
    log_record record;
    for (const auto& row : rows) {
        const auto more = reader->next(record);
        ASSERT_TRUE(more && *more) << to_string(more.error());
        EXPECT_EQ(schema_of(record), schema);
        EXPECT_EQ(values_of(record), row);
    }
    EXPECT_FALSE(reader->next(record).value());
}

TEST_F(log_writer_test, records_that_lack_fields_share_a_file_and_new_fields_begin_another) {
    const log_schema ab{"t", {{"a", "count"}, {"b", "string"}}};
    const log_schema b{"t", {{"b", "string"}}};
    const log_schema bc{"t", {{"b", "string"}, {"c", "bool"}}};
    auto writer = open();
    ASSERT_TRUE(writer->write(b, std::vector<data>{"1"}, noon));
    ASSERT_TRUE(writer->write(ab, std::vector<data>{2u, "2"}, noon));
    ASSERT_TRUE(writer->write(bc, std::vector<data>{"3", true}, noon));
    ASSERT_TRUE(writer->write(b, std::vector<data>{"4"}, noon));
    ASSERT_TRUE(writer->write(ab, std::vector<data>{5u, "5"}, noon));
    ASSERT_TRUE(writer->close(noon));
    EXPECT_THAT(names(), ElementsAre("t.2024-04-12-12-00-00-1.log", "t.2024-04-12-12-00-00.log",
                                     "t.log"));
    EXPECT_THAT(sorted_records(folder_ / "t.2024-04-12-12-00-00.log"), ElementsAre("1"));
    EXPECT_THAT(sorted_records(folder_ / "t.2024-04-12-12-00-00-1.log"), ElementsAre("2\t2"));
    EXPECT_THAT(sorted_records(folder_ / "t.log"), ElementsAre("3\t-\tT", "4\t-\t-", "5\t5\t-"));
}

std::vector<log_column> types_of(const fs::path& file) {
    auto reader = zeek_log_reader::open(file);
    EXPECT_TRUE(reader) << to_string(reader.error());
    log_record record;
    EXPECT_TRUE(reader->next(record).value_or(false));
    return schema_of(record).columns;
}

TEST_F(log_writer_test, numbers_of_several_types_share_a_file_under_the_widest) {
    auto writer = open();
    for (unsigned i = 0; i < 20; ++i) {
        ASSERT_TRUE(writer->write({"t", {{"n", "count"}}}, std::vector<data>{1u}, noon));
        ASSERT_TRUE(writer->write({"t", {{"n", "int"}}}, std::vector<data>{-1}, noon));
        ASSERT_TRUE(writer->write({"t", {{"n", "double"}}}, std::vector<data>{1.5}, noon));
    }
    ASSERT_TRUE(writer->close(noon));
    EXPECT_EQ(names().size(), 3u);
    EXPECT_THAT(types_of(folder_ / "t.log"), ElementsAre(log_column{"n", "double"}));
    EXPECT_EQ(sorted_records(folder_ / "t.log").size(), 58u);
}

TEST_F(log_writer_test, empty_lists_share_a_file_with_others) {
    auto writer = open();
    for (unsigned i = 0; i < 20; ++i) {
        ASSERT_TRUE(writer->write({"t", {{"s", "set[string]"}}}, std::vector<data>{set{}}, noon));
        ASSERT_TRUE(
            writer->write({"t", {{"s", "set[count]"}}}, std::vector<data>{set{data{7u}}}, noon));
    }
    ASSERT_TRUE(writer->close(noon));
    EXPECT_THAT(names(), ElementsAre("t.log"));
    EXPECT_EQ(sorted_records(folder_ / "t.log").size(), 40u);
}

TEST_F(log_writer_test, a_type_that_goes_on_changing_becomes_a_string) {
    auto writer = open();
    for (unsigned i = 0; i < 20; ++i) {
        ASSERT_TRUE(writer->write({"t", {{"x", "bool"}}}, std::vector<data>{true}, noon));
        ASSERT_TRUE(writer->write({"t", {{"x", "count"}}}, std::vector<data>{3u}, noon));
    }
    ASSERT_TRUE(writer->close(noon));
    EXPECT_EQ(names().size(), 3u);
    EXPECT_THAT(types_of(folder_ / "t.log"), ElementsAre(log_column{"x", "string"}));
}

TEST_F(log_writer_test, a_number_that_its_field_has_no_room_for_is_no_record) {
    auto writer = open();
    ASSERT_TRUE(writer->write({"t", {{"n", "int"}}}, std::vector<data>{-1}, noon));
    const auto large =
        writer->write({"t", {{"n", "count"}}}, std::vector<data>{~std::uint64_t{0}}, noon);
    ASSERT_FALSE(large);
    EXPECT_THAT(large.error(), ec::invalid_data);
    ASSERT_TRUE(writer->close(noon));
    EXPECT_EQ(sorted_records(folder_ / "t.log").size(), 1u);
}

TEST(log_schema, a_value_fits_the_types_that_it_reads_as) {
    const auto most = std::numeric_limits<std::uint64_t>::max();
    const std::vector<std::pair<data, std::string>> fitting{
        {nil, "count"}, {nil, "set[addr]"}, {1u, "count"}, {1u, "int"}, {1u, "double"}, {1, "count"},
        {-1, "int"}, {-1, "double"}, {most, "count"}, {1.5, "double"}, {true, "bool"},
        {1s, "interval"}, {timestamp{1s}, "time"}, {port{53, port::protocol::udp}, "port"},
        {*address::parse("::1"), "addr"}, {*subnet::parse("::/0"), "subnet"}, {"x", "string"},
        {"x", "enum"}, {enum_value{"x"}, "enum"}, {enum_value{"x"}, "string"}, {7u, "string"},
        {vector{1u}, "string"}, {7u, "pattern"}, {set{}, "set[addr]"}, {set{data{1u}}, "set[int]"},
        {vector{nil, 1s}, "vector[interval]"}, {vector{"a"}, "set[string]"}};
    for (const auto& [value, type] : fitting) {
        EXPECT_TRUE(fits(value, type)) << to_string(value) << ' ' << type;
    }
    const std::vector<std::pair<data, std::string>> others{
        {-1, "count"}, {most, "int"}, {1.5, "count"}, {1.5, "int"}, {1.5, "time"}, {1u, "bool"},
        {1u, "time"}, {1u, "port"}, {true, "count"}, {"10.0.0.1", "addr"}, {"x", "set[string]"},
        {"x", "count"}, {1s, "time"}, {set{data{"x"}}, "set[addr]"}, {set{data{-1}}, "set[count]"},
        {vector{1u, "x"}, "vector[count]"}, {table{}, "count"}, {set{}, "addr"}};
    for (const auto& [value, type] : others) {
        EXPECT_FALSE(fits(value, type)) << to_string(value) << ' ' << type;
    }
}

TEST_F(log_writer_test, a_value_of_another_type_than_its_fields_is_no_record) {
    const log_schema schema{"mm", {{"ts", "time"}, {"n", "count"}}};
    for (const auto format : {log_format::tsv, log_format::json}) {
        log_writer_options how;
        how.format = format;
        auto writer = open(how);
        const auto refused =
            writer->write(schema, std::vector<data>{timestamp{1s}, -3}, noon);
        ASSERT_FALSE(refused);
        EXPECT_EQ(to_string(refused.error()), "invalid_data: n of mm: expected count, got int -3");
        EXPECT_THAT(names(), IsEmpty()) << "a log of nothing";
        EXPECT_EQ(writer->records(), 0u);
    }
}

TEST_F(log_writer_test, a_log_called_as_what_is_no_record_has_a_file_of_its_own) {
    auto writer = open();
    ASSERT_TRUE(writer->write_rejected("first"));
    ASSERT_TRUE(writer->write({"rejected", {{"n", "count"}}}, one, noon));
    ASSERT_TRUE(writer->write_rejected("second"));
    ASSERT_TRUE(writer->close(noon));
    EXPECT_THAT(names(), ElementsAre("%72ejected.log", "rejected.log"));
    EXPECT_THAT(lines("rejected.log"), ElementsAre("first", "second"));
    EXPECT_THAT(sorted_records(folder_ / "%72ejected.log"), ElementsAre("1"));
}

TEST_F(log_writer_test, rotates_by_size_and_packs) {
    log_writer_options how;
    how.rotate_bytes = 400;
    how.gzip = true;
    {
        auto writer = open(how);
        for (unsigned i = 100; i < 400; ++i) {
            ASSERT_TRUE(writer->write(one_count, std::vector<data>{i}, noon));
            ASSERT_TRUE(writer->flush());
        }
        ASSERT_TRUE(writer->close(noon));
    }
    std::size_t records = 0;
    for (const auto& name : names()) {
        EXPECT_TRUE(name == "test.log" || name.ends_with(".log.gz")) << name;
        const auto text = lines(name);
        EXPECT_THAT(text.back(), HasSubstr("#close"));
        records += text.size() - 9;
    }
    EXPECT_EQ(records, 300u);
    EXPECT_GT(names().size(), 3u);
    EXPECT_TRUE(told_.empty());
}

TEST_F(log_writer_test, rotates_at_whole_multiples_of_the_interval) {
    log_writer_options how;
    how.rotate_every = 1h;
    auto writer = open(how);
    ASSERT_TRUE(writer->write(one_count, one, noon + 59min));
    ASSERT_TRUE(writer->rotate(noon + 59min + 59s));
    EXPECT_EQ(names().size(), 1u);
    ASSERT_TRUE(writer->rotate(noon + 60min));
    EXPECT_THAT(names(), ElementsAre("test.2024-04-12-12-59-00.log"));
    ASSERT_TRUE(writer->write(one_count, one, noon + 61min));
    ASSERT_TRUE(writer->close(noon + 61min));
    EXPECT_EQ(names().size(), 2u);
}

TEST_F(log_writer_test, what_a_crash_left_is_kept_and_its_torn_line_cut) {
    fs::create_directories(folder_);
    std::ofstream{folder_ / "test.log"} << "#fields\tn\n1\n2\n3-torn";
    auto writer = open();
    ASSERT_TRUE(writer->write(one_count, one, noon));
    ASSERT_TRUE(writer->close(noon));
    ASSERT_EQ(names().size(), 2u);
    EXPECT_THAT(lines(names().front()), ElementsAre("#fields\tn", "1", "2"));
    ASSERT_EQ(told_.size(), 1u);
    EXPECT_THAT(told_.front(), HasSubstr("cut 6 bytes"));
}

TEST_F(log_writer_test, one_folder_has_one_writer) {
    auto writer = open();
    log_writer_options how;
    how.folder = folder_;
    const auto second = log_writer::open(how, {});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message(), HasSubstr("another logger"));
}

TEST_F(log_writer_test, no_name_leads_out_of_the_folder) {
    auto writer = open();
    for (const auto* path : {"../../etc/x", "", ".", "a/b", "a.b"}) {
        ASSERT_TRUE(writer->write({path, {{"n", "count"}}}, one, noon)) << path;
    }
    ASSERT_TRUE(writer->close(noon));
    EXPECT_THAT(names(), ElementsAre("%.log", "%2E%2E%2F%2E%2E%2Fetc%2Fx.log", "%2E.log",
                                     "a%2Eb.log", "a%2Fb.log"));
}

/// Lets files grow to `bytes` at most, as a full disk does, as long as it lives.
class full_disk {
  public:
    explicit full_disk(std::size_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before_);
        auto now = before_;
        now.rlim_cur = bytes;
        setrlimit(RLIMIT_FSIZE, &now);
    }
    ~full_disk() { setrlimit(RLIMIT_FSIZE, &before_); }
    full_disk(const full_disk&) = delete;
    full_disk& operator=(const full_disk&) = delete;

  private:
    rlimit before_{};
};

TEST_F(log_writer_test, a_full_disk_is_told_and_loses_nothing) {
    auto writer = open();
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_TRUE(writer->write(one_count, std::vector<data>{i}, noon));
    }
    {
        const full_disk full{333};
        for (int again = 0; again < 2; ++again) {
            const auto flushed = writer->flush();
            ASSERT_FALSE(flushed);
            EXPECT_EQ(flushed.error(), ec::cannot_write_file);
            EXPECT_THAT(flushed.error().message(), HasSubstr("test.log: File too large"));
        }
        EXPECT_FALSE(writer->close(noon));
        EXPECT_GT(writer->bytes_waiting(), 0u);
    }
    ASSERT_TRUE(writer->close(noon));
    EXPECT_EQ(writer->bytes_waiting(), 0u);
    EXPECT_EQ(sorted_records(folder_ / "test.log").size(), 1000u);
    EXPECT_EQ(lines("test.log").back(), "#close\t2024-04-12-12-00-00") << "once";
}

TEST_F(log_writer_test, what_is_given_up_ends_with_a_whole_line) {
    auto writer = open();
    for (unsigned i = 100; i < 900; ++i) {
        ASSERT_TRUE(writer->write(one_count, std::vector<data>{i}, noon));
    }
    {
        const full_disk full{334};
        EXPECT_FALSE(writer->flush());
        writer.reset();
    }
    EXPECT_THAT(lines("test.log").back(), testing::MatchesRegex("[0-9][0-9][0-9]"));
}

/// The real logs, or nothing.
class real_logs_written : public log_writer_test {
  protected:
    void SetUp() override {
        log_writer_test::SetUp();
        const auto* named = std::getenv("BZMQ_ZEEK_LOGS");
        source_ = named != nullptr ? std::string{named} : source_dir() + "/../shared/data/zeek-logs";
        if (!fs::exists(source_ / "dns.log.gz")) {
            GTEST_SKIP() << "no real Zeek logs: BZMQ_ZEEK_LOGS names no folder with dns.log.gz";
        }
    }
    void copy(const std::string& name, const log_writer_options& how) {
        auto reader = zeek_log_reader::open(source_ / name);
        ASSERT_TRUE(reader);
        auto writer = open(how);
        log_record record;
        while (reader->next(record).value()) {
            ASSERT_TRUE(writer->write(schema_of(record), values_of(record), noon));
        }
        ASSERT_TRUE(writer->close(noon));
    }
    fs::path source_;
};

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> out;
    std::istringstream stream{text};
    for (std::string part; std::getline(stream, part, at);) {
        out.push_back(part);
    }
    return out;
}

std::string join(const std::vector<std::string>& parts, char with) {
    std::string out;
    for (const auto& part : parts) {
        out += (out.empty() ? "" : std::string{with}) + part;
    }
    return out;
}

/// Sets have no order: Zeek writes them as they lie in memory, we sort them.
void sort_sets(std::vector<std::string>& lines) {
    std::vector<std::string> types;
    for (auto& line : lines) {
        auto cells = split(line, '\t');
        if (cells.front() == "#types") {
            types.assign(cells.begin() + 1, cells.end());
        }
        for (std::size_t i = 0; !line.starts_with('#') && i < cells.size(); ++i) {
            if (types[i].starts_with("set[")) {
                auto elements = split(cells[i], ',');
                std::sort(elements.begin(), elements.end());
                cells[i] = join(elements, ',');
            }
        }
        line = join(cells, '\t');
    }
}

TEST_F(real_logs_written, tab_separated_ones_come_out_byte_by_byte) {
    for (const std::string name : {"dns", "known_services", "notice", "software", "weird"}) {
        copy(name + ".log.gz", {});
        auto want = lines_of(source_ / (name + ".log.gz"));
        auto got = lines_of(folder_ / (name + ".log"));
        const auto has_time = [](const std::string& line) {
            return line.starts_with("#open") || line.starts_with("#close");
        };
        std::erase_if(want, has_time);
        std::erase_if(got, has_time);
        sort_sets(want);
        sort_sets(got);
        EXPECT_TRUE(want == got) << name;
    }
}

TEST_F(real_logs_written, json_ones_come_out_byte_by_byte) {
    log_writer_options how;
    how.format = log_format::json;
    how.times = json_time::iso8601;
    for (const std::string name : {"notice", "weird"}) {
        copy(name + ".json.gz", how);
        EXPECT_TRUE(lines_of(source_ / (name + ".json.gz")) == lines_of(folder_ / (name + ".log")))
            << name;
    }
}

}  // namespace
}  // namespace bzmq::cli
