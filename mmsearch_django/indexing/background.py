"""What a library is asked to learn where noise begins: nonsense, and sensible things that most libraries lack."""

import random
import string

NONSENSE = 200

# Everyday things from many walks of life; most of them are not in any one library.
SENSIBLE = """
aeroplane wing; alarm clock; ambulance; ant hill; apple pie; apron; aquarium; armchair; army tank; autumn leaves;
baby asleep; bakery; ballet dancer; bank note; barbecue; barn; baseball match; bathroom sink; battery; beach with
palms; bee on a flower; beer glass; bicycle race; billboard; birthday cake; board game; bookshelf; bottle of wine;
bowl of rice; bride and groom; bridge at night; broken window; brush; building site; bus stop; business meeting;
butterfly; cactus; calendar; campfire; candle; canoe; car engine; carnival; carpet; cave; cello; cement mixer; chess
board; chicken soup; children playing; chimney; chocolate; church choir; city map; classroom; cloud; coal mine;
coat; coin; computer screen; concert crowd; cooking pot; coral reef; corn field; courtroom; cow; crane; credit card;
crossword; curtain; cyclist; dentist; desert; dinosaur; diver; doctor; dog on a sofa; doll; door handle; dragon;
dress; drill; drum kit; duck pond; earring; earthquake; egg; electric guitar; elephant; email; escalator; exam; eye;
factory hall; fan; farmer; fence; ferry; fire engine; fireworks; fishing boat; flag; flood; football match; forest
path; fountain; fox; frog; fruit market; garage; garden gate; gas station; ghost; gloves; goat; golf course; graph
of sales; grapes; graveyard; greenhouse; gym; hair dryer; hamburger; hammock; harbour; hat; headphones; helicopter;
highway; honey; horse race; hospital bed; hot air balloon; hotel lobby; ice hockey; iceberg; insect; invoice; iron;
island; jacket; jellyfish; jigsaw; jungle; kangaroo; keyboard; kitchen; kite; knitting; laboratory; ladder; lamp;
laptop; laundry; lava; lawn mower; leather sofa; letter box; library; lighthouse; lightning; lion; lipstick; lorry;
luggage; machine room; magnifying glass; mask; medal; microphone; microscope; milk; mirror; monkey; moon landing;
mosque; motorcycle; mountain at sunset; mouse trap; mushroom; nail varnish; newspaper; notebook; nurse; oak tree;
office desk; oil platform; olive; onion; opera; orchestra; owl; paint brush; pancake; parachute; parliament; parrot;
passport; pasta; peacock; penguin; perfume; piano; picnic; pillow; pirate; pizza; police car; polar bear; portrait
of a man; potato; prison; pumpkin; puppet; pyramid; quilt; rabbit; racing car; radio; railway station; rainbow;
refrigerator; restaurant; ring; robot; roof; rose; rowing; rubbish bin; running shoes; sandwich; satellite;
saxophone; scarf; school bus; screw; sculpture; shark; sheep; shop window; shower; skateboard; skeleton; ski slope;
sleeping bag; snail; snowman; soap; soldier; spider; spoon; stamp; staircase; star; steam train; strawberry; street
at night; submarine; suitcase; sunglasses; surfer; swan; swimming pool; sword; table; tattoo; tax form; taxi;
telephone; tennis court; tent; theatre; tiger; toaster; tomato; toothbrush; tornado; towel; tractor; traffic jam;
tram; treasure; trumpet; tunnel; turtle; typewriter; umbrella; university; vacuum cleaner; vase; vineyard; violin;
volcano; waiter; wall; wallet; washing machine; watch; waterfall; wedding dress; whale; wheelchair; wolf; wool;
x-ray; yacht; yoga; zebra; zip
"""


def nonsense() -> list[str]:
    """One to three words of random letters each; always the same."""
    letters = random.Random(0)
    return [" ".join(_word(letters) for _ in range(letters.randint(1, 3))) for _ in range(NONSENSE)]


def sensible() -> list[str]:
    return [" ".join(query.split()) for query in SENSIBLE.split(";")]


def _word(letters: random.Random) -> str:
    return "".join(letters.choice(string.ascii_lowercase) for _ in range(letters.randint(3, 9)))
