"""The nouns: one line each, English | German | French | extra classes, under their semantic class in brackets.

English gives the plural after a slash where it is irregular. German gives article, singular, plural, and `n` for
the n-declension. French gives the gender by `un` or `une`, a star before an aspirated h (*hache: la hache), and the
plural after a slash where it is irregular. Nouns of the classes `dish` and `drink` with no plural are mass nouns.
"""

NOUNS = """
[person]
man/men | der Mann, Männer | un homme | he
woman/women | die Frau, Frauen | une femme | she
boy | der Junge, Jungen, n | un garçon | he
girl | das Mädchen, Mädchen | une fille |
child/children | das Kind, Kinder | un enfant |
farmer | der Bauer, Bauern, n | un fermier | he
teacher | der Lehrer, Lehrer | un professeur | he
student | der Student, Studenten, n | un étudiant | he
pupil | der Schüler, Schüler | un élève | he
cook | der Koch, Köche | un cuisinier | he
baker | der Bäcker, Bäcker | un boulanger | he
butcher | der Metzger, Metzger | un boucher | he
gardener | der Gärtner, Gärtner | un jardinier | he
doctor | der Arzt, Ärzte | un médecin | he
nurse | die Krankenschwester, Krankenschwestern | une infirmière | she
policeman/policemen | der Polizist, Polizisten, n | un policier | he
fireman/firemen | der Feuerwehrmann, Feuerwehrmänner | un pompier | he
soldier | der Soldat, Soldaten, n | un soldat | he
sailor | der Matrose, Matrosen, n | un marin | he
fisherman/fishermen | der Fischer, Fischer | un pêcheur | he
hunter | der Jäger, Jäger | un chasseur | he
waiter | der Kellner, Kellner | un serveur | he
waitress | die Kellnerin, Kellnerinnen | une serveuse | she
actor | der Schauspieler, Schauspieler | un acteur | he
actress | die Schauspielerin, Schauspielerinnen | une actrice | she
singer | die Sängerin, Sängerinnen | une chanteuse | she
dancer | die Tänzerin, Tänzerinnen | une danseuse | she
painter | der Maler, Maler | un peintre | he
photographer | der Fotograf, Fotografen, n | un photographe | he
musician | der Musiker, Musiker | un musicien | he
king | der König, Könige | un roi | he
queen | die Königin, Königinnen | une reine | she
prince | der Prinz, Prinzen, n | un prince | he
princess | die Prinzessin, Prinzessinnen | une princesse | she
clown | der Clown, Clowns | un clown | he
grandmother | die Großmutter, Großmütter | une grand-mère/grands-mères | she
grandfather | der Großvater, Großväter | un grand-père/grands-pères | he
mother | die Mutter, Mütter | une mère | she
father | der Vater, Väter | un père | he
aunt | die Tante, Tanten | une tante | she
uncle | der Onkel, Onkel | un oncle | he
neighbor | der Nachbar, Nachbarn, n | un voisin | he
tourist | der Tourist, Touristen, n | un touriste | he
mechanic | der Mechaniker, Mechaniker | un mécanicien | he
carpenter | der Tischler, Tischler | un menuisier | he
worker | der Arbeiter, Arbeiter | un ouvrier | he
pirate | der Pirat, Piraten, n | un pirate | he
witch | die Hexe, Hexen | une sorcière | she
lady | die Dame, Damen | une dame | she
bride | die Braut, Bräute | une mariée | she
nun | die Nonne, Nonnen | une religieuse | she
monk | der Mönch, Mönche | un moine | he
judge | der Richter, Richter | un juge | he
saleswoman/saleswomen | die Verkäuferin, Verkäuferinnen | une vendeuse | she
knight | der Ritter, Ritter | un chevalier | he
magician | der Zauberer, Zauberer | un magicien | he
[animal]
dog | der Hund, Hunde | un chien | tame
cat | die Katze, Katzen | un chat | tame
horse | das Pferd, Pferde | un cheval/chevaux | tame mount big
cow | die Kuh, Kühe | une vache | tame big
pig | das Schwein, Schweine | un cochon | tame
goat | die Ziege, Ziegen | une chèvre | tame
donkey | der Esel, Esel | un âne | tame mount big
goose/geese | die Gans, Gänse | une oie | tame
hen | die Henne, Hennen | une poule | tame
duck | die Ente, Enten | un canard | tame
rabbit | das Kaninchen, Kaninchen | un lapin | tame
lamb | das Lamm, Lämmer | un agneau | tame
foal | das Fohlen, Fohlen | un poulain | tame
mouse/mice | die Maus, Mäuse | une souris |
bird | der Vogel, Vögel | un oiseau |
monkey | der Affe, Affen, n | un singe |
bear | der Bär, Bären, n | un ours | big
wolf/wolves | der Wolf, Wölfe | un loup |
fox | der Fuchs, Füchse | un renard |
lion | der Löwe, Löwen, n | un lion | big
tiger | der Tiger, Tiger | un tigre | big
elephant | der Elefant, Elefanten, n | un éléphant | big
giraffe | die Giraffe, Giraffen | une girafe | big
zebra | das Zebra, Zebras | un zèbre | big
camel | das Kamel, Kamele | un chameau | mount big
frog | der Frosch, Frösche | une grenouille |
squirrel | das Eichhörnchen, Eichhörnchen | un écureuil |
hedgehog | der Igel, Igel | un *hérisson |
parrot | der Papagei, Papageien | un perroquet |
owl | die Eule, Eulen | un *hibou/hiboux |
eagle | der Adler, Adler | un aigle |
swan | der Schwan, Schwäne | un cygne |
pigeon | die Taube, Tauben | un pigeon |
turtle | die Schildkröte, Schildkröten | une tortue |
snake | die Schlange, Schlangen | un serpent |
kangaroo | das Känguru, Kängurus | un kangourou |
[vehicle]
car | das Auto, Autos | une voiture | drive
bus | der Bus, Busse | un bus | drive public
truck | der Lastwagen, Lastwagen | un camion | drive
tractor | der Traktor, Traktoren | un tracteur | drive
taxi | das Taxi, Taxis | un taxi | drive public
ambulance | der Krankenwagen, Krankenwagen | une ambulance | drive
tram | die Straßenbahn, Straßenbahnen | un tramway | drive rail public
train | der Zug, Züge | un train | rail public
bicycle | das Fahrrad, Fahrräder | un vélo | rolling
motorcycle | das Motorrad, Motorräder | une moto | drive
scooter | der Roller, Roller | un scooter | drive
boat | das Boot, Boote | un bateau | ship
canoe | das Kanu, Kanus | un canoë | ship
ferry | die Fähre, Fähren | un ferry/ferries | ship public
airplane | das Flugzeug, Flugzeuge | un avion | fly public
helicopter | der Hubschrauber, Hubschrauber | un hélicoptère | fly
sled | der Schlitten, Schlitten | une luge | rolling
cart | der Karren, Karren | une charrette | rolling
stroller | der Kinderwagen, Kinderwagen | une poussette | rolling
[clothes]
coat | der Mantel, Mäntel | un manteau | in
shirt | das Hemd, Hemden | une chemise | in
dress | das Kleid, Kleider | une robe | in women
skirt | der Rock, Röcke | une jupe | in women
blouse | die Bluse, Blusen | un chemisier | in women
jacket | die Jacke, Jacken | une veste | in
sweater | der Pullover, Pullover | un pull | in
suit | der Anzug, Anzüge | un costume | in men
uniform | die Uniform, Uniformen | un uniforme | in
raincoat | der Regenmantel, Regenmäntel | un imperméable | in
vest | die Weste, Westen | un gilet | in
bathrobe | der Bademantel, Bademäntel | un peignoir | in
apron | die Schürze, Schürzen | un tablier | with
hat | der Hut, Hüte | un chapeau | with
cap | die Mütze, Mützen | une casquette | with
helmet | der Helm, Helme | un casque | with
scarf/scarves | der Schal, Schals | une écharpe | with
tie | die Krawatte, Krawatten | une cravate | with men
belt | der Gürtel, Gürtel | une ceinture | with
backpack | der Rucksack, Rucksäcke | un sac à dos/sacs à dos | with
mask | die Maske, Masken | un masque | with
necklace | die Halskette, Halsketten | un collier | with women
crown | die Krone, Kronen | une couronne | with
shoe | der Schuh, Schuhe | une chaussure | pair
boot | der Stiefel, Stiefel | une botte | pair
glove | der Handschuh, Handschuhe | un gant | pair
sock | die Socke, Socken | une chaussette | pair
[thing]
hammer | der Hammer, Hämmer | un marteau | tool
saw | die Säge, Sägen | une scie | tool
axe | die Axt, Äxte | une *hache | tool
knife/knives | das Messer, Messer | un couteau | tool dishware
ladder | die Leiter, Leitern | une échelle | tool
rope | das Seil, Seile | une corde | tool
shovel | die Schaufel, Schaufeln | une pelle | tool
rake | der Rechen, Rechen | un râteau | tool
broom | der Besen, Besen | un balai | tool
bucket | der Eimer, Eimer | un seau | tool open
wheelbarrow | die Schubkarre, Schubkarren | une brouette | tool rolling
fork | die Gabel, Gabeln | une fourchette | dishware
spoon | der Löffel, Löffel | une cuillère | dishware
plate | der Teller, Teller | une assiette | dishware
cup | die Tasse, Tassen | une tasse | dishware
bowl | die Schüssel, Schüsseln | un bol | dishware
pan | die Pfanne, Pfannen | une poêle | dishware
pot | der Topf, Töpfe | une casserole | dishware
bottle | die Flasche, Flaschen | une bouteille | openable
glass | das Glas, Gläser | un verre | dishware
key | der Schlüssel, Schlüssel | une clé | small
wallet | der Geldbeutel, Geldbeutel | un portefeuille | small openable
ring | der Ring, Ringe | une bague | small gift
ticket | die Fahrkarte, Fahrkarten | un billet | small
umbrella | der Regenschirm, Regenschirme | un parapluie | openable
suitcase | der Koffer, Koffer | une valise | openable luggage
basket | der Korb, Körbe | un panier | luggage
bag | die Tasche, Taschen | un sac | openable luggage
box | die Kiste, Kisten | une caisse | openable luggage
parcel | das Paket, Pakete | un colis | openable luggage gift
gift | das Geschenk, Geschenke | un cadeau | openable luggage gift
camera | die Kamera, Kameras | un appareil photo/appareils photo | device gift
phone | das Telefon, Telefone | un téléphone | device gift
computer | der Computer, Computer | un ordinateur | device
radio | das Radio, Radios | une radio | device
television | der Fernseher, Fernseher | une télévision | device
lamp | die Lampe, Lampen | une lampe | device
clock | die Uhr, Uhren | une horloge | hangs
mirror | der Spiegel, Spiegel | un miroir | hangs
painting | das Gemälde, Gemälde | un tableau | hangs image
poster | das Plakat, Plakate | une affiche | hangs image
photo | das Foto, Fotos | une photo | hangs image
curtain | der Vorhang, Vorhänge | un rideau | hangs
book | das Buch, Bücher | un livre | readable gift
newspaper | die Zeitung, Zeitungen | un journal/journaux | readable
letter | der Brief, Briefe | une lettre | readable writable
postcard | die Postkarte, Postkarten | une carte postale/cartes postales | readable writable
map | die Landkarte, Landkarten | une carte | readable
magazine | die Zeitschrift, Zeitschriften | un magazine | readable
notebook | das Heft, Hefte | un cahier | readable
ball | der Ball, Bälle | un ballon | toy
doll | die Puppe, Puppen | une poupée | toy
kite | der Drachen, Drachen | un cerf-volant/cerfs-volants | toy
puppet | die Marionette, Marionetten | une marionnette | toy
teddy bear | der Teddybär, Teddybären, n | un ours en peluche/ours en peluche | toy
toy | das Spielzeug, Spielzeuge | un jouet | toy
flag | die Fahne, Fahnen | un drapeau | hangs
candle | die Kerze, Kerzen | une bougie | gift
pillow | das Kissen, Kissen | un coussin | cloth
blanket | die Decke, Decken | une couverture | cloth
towel | das Handtuch, Handtücher | une serviette | cloth
carpet | der Teppich, Teppiche | un tapis | cloth
stone | der Stein, Steine | une pierre | wildthing
stick | der Stock, Stöcke | un bâton | wildthing
shell | die Muschel, Muscheln | un coquillage | wildthing
feather | die Feder, Federn | une plume | wildthing
leaf/leaves | das Blatt, Blätter | une feuille | wildthing
[plant]
flower | die Blume, Blumen | une fleur | pick gift
rose | die Rose, Rosen | une rose | pick gift
tulip | die Tulpe, Tulpen | une tulipe | pick gift
sunflower | die Sonnenblume, Sonnenblumen | un tournesol | pick gift
mushroom | der Pilz, Pilze | un champignon | pick
bush | der Busch, Büsche | un buisson | near
tree | der Baum, Bäume | un arbre | near above tall
oak | die Eiche, Eichen | un chêne | near above tall
palm tree | die Palme, Palmen | un palmier | near above tall
cactus/cacti | der Kaktus, Kakteen | un cactus | near
[dish]
apple | der Apfel, Äpfel | une pomme | fruit
pear | die Birne, Birnen | une poire | fruit
banana | die Banane, Bananen | une banane | fruit
orange | die Orange, Orangen | une orange | fruit
lemon | die Zitrone, Zitronen | un citron | fruit
cherry | die Kirsche, Kirschen | une cerise | fruit
strawberry | die Erdbeere, Erdbeeren | une fraise | fruit
peach | der Pfirsich, Pfirsiche | une pêche | fruit
plum | die Pflaume, Pflaumen | une prune | fruit
melon | die Melone, Melonen | un melon | fruit
tomato/tomatoes | die Tomate, Tomaten | une tomate | fruit vegetable
potato/potatoes | die Kartoffel, Kartoffeln | une pomme de terre/pommes de terre | vegetable
carrot | die Karotte, Karotten | une carotte | vegetable
onion | die Zwiebel, Zwiebeln | un oignon | vegetable
cucumber | die Gurke, Gurken | un concombre | vegetable
pumpkin | der Kürbis, Kürbisse | une citrouille | vegetable
cake | der Kuchen, Kuchen | un gâteau | meal
pizza | die Pizza, Pizzas | une pizza | meal
sandwich | das Sandwich, Sandwiches | un sandwich | meal
sausage | die Wurst, Würste | une saucisse | meal
egg | das Ei, Eier | un œuf | meal
pancake | der Pfannkuchen, Pfannkuchen | une crêpe | meal
steak | das Steak, Steaks | un steak | meal
bread/- | das Brot, - | un pain | food
cheese/- | der Käse, - | un fromage | food
soup/- | die Suppe, - | une soupe | meal
rice/- | der Reis, - | un riz | meal
meat/- | das Fleisch, - | une viande | food
butter/- | die Butter, - | un beurre | food
honey/- | der Honig, - | un miel | food
chocolate/- | die Schokolade, - | un chocolat | food
[drink]
milk/- | die Milch, - | un lait |
water/- | das Wasser, - | une eau |
coffee/- | der Kaffee, - | un café |
tea/- | der Tee, - | un thé |
beer/- | das Bier, - | une bière |
wine/- | der Wein, - | un vin |
lemonade/- | die Limonade, - | une limonade |
apple juice/- | der Apfelsaft, - | un jus de pomme |
[furniture]
chair | der Stuhl, Stühle | une chaise | on
table | der Tisch, Tische | une table | above
bed | das Bett, Betten | un lit | on above
sofa | das Sofa, Sofas | un canapé | on
bench | die Bank, Bänke | un banc | on
armchair | der Sessel, Sessel | un fauteuil |
shelf/shelves | das Regal, Regale | une étagère |
closet | der Schrank, Schränke | une armoire | openable
chest | die Truhe, Truhen | un coffre | openable
stove | der Herd, Herde | une cuisinière |
refrigerator | der Kühlschrank, Kühlschränke | un réfrigérateur | openable
door | die Tür, Türen | une porte | openable part
window | das Fenster, Fenster | une fenêtre | openable part
gate | das Tor, Tore | un portail | openable part
[building]
house | das Haus, Häuser | une maison |
barn | die Scheune, Scheunen | une grange |
tower | der Turm, Türme | une tour | tall
tent | das Zelt, Zelte | une tente |
hut | die Hütte, Hütten | une cabane |
windmill | die Windmühle, Windmühlen | un moulin à vent/moulins à vent | tall
lighthouse | der Leuchtturm, Leuchttürme | un phare | tall
factory | die Fabrik, Fabriken | une usine |
skyscraper | das Hochhaus, Hochhäuser | un gratte-ciel/gratte-ciel | tall
palace | der Palast, Paläste | un palais |
statue | die Statue, Statuen | une statue |
fountain | der Brunnen, Brunnen | une fontaine |
wall | die Mauer, Mauern | un mur | on
fence | der Zaun, Zäune | une clôture |
[instrument]
guitar | die Gitarre, Gitarren | une guitare |
piano | das Klavier, Klaviere | un piano | heavyinstrument
violin | die Geige, Geigen | un violon |
trumpet | die Trompete, Trompeten | une trompette |
drum | die Trommel, Trommeln | un tambour |
flute | die Flöte, Flöten | une flûte |
accordion | das Akkordeon, Akkordeons | un accordéon |
harp | die Harfe, Harfen | une *harpe |
cello | das Cello, Cellos | un violoncelle |
saxophone | das Saxofon, Saxofone | un saxophone |
"""

PLACES = """
kitchen | die Küche, Küchen | une cuisine | in in dans | in dans | room
living room | das Wohnzimmer, Wohnzimmer | un salon/salons | in in dans | in dans | room
bedroom | das Schlafzimmer, Schlafzimmer | une chambre | in in dans | in dans | room
bathroom | das Badezimmer, Badezimmer | une salle de bains/salles de bains | in in dans | in dans | room
cellar | der Keller, Keller | une cave | in in dans | in à | room
attic | der Dachboden, Dachböden | un grenier | auf in dans | auf à | room
garage | die Garage, Garagen | un garage | in in dans | in à | room work
hallway | der Flur, Flure | un couloir | in in dans | | room
office | das Büro, Büros | un bureau | in in dans | in à | room
workshop | die Werkstatt, Werkstätten | un atelier | in in dans | in à | room work
classroom | das Klassenzimmer, Klassenzimmer | une salle de classe/salles de classe | in in dans | in dans | room
garden | der Garten, Gärten | un jardin | in in dans | in dans | out green work
courtyard | der Hof, Höfe | une cour | in in dans | in dans | out work
balcony | der Balkon, Balkone | un balcon | auf on sur | auf sur | out
terrace | die Terrasse, Terrassen | une terrasse | auf on sur | auf sur | out
stable | der Stall, Ställe | une étable | in in dans | in dans | farm
farm | der Bauernhof, Bauernhöfe | une ferme | auf on à | zu à | farm work
park | der Park, Parks | un parc | in in dans | in à | out green
street | die Straße, Straßen | une rue | auf on dans | | out road
market | der Markt, Märkte | un marché | auf at à | auf à | shop
square | der Platz, Plätze | une place | auf on sur | | out
station | der Bahnhof, Bahnhöfe | une gare | an at à | zu à | travel
airport | der Flughafen, Flughäfen | un aéroport | an at à | zu à | travel
bus stop | die Bushaltestelle, Bushaltestellen | un arrêt de bus/arrêts de bus | an at à | zu à | travel
harbor | der Hafen, Häfen | un port | in in dans | zu à | travel water
parking lot | der Parkplatz, Parkplätze | un parking | auf in sur | zu à | road
gas station | die Tankstelle, Tankstellen | une station-service/stations-service | an at à | zu à | road
school | die Schule, Schulen | une école | in at à | zu à | hall
museum | das Museum, Museen | un musée | in in à | in à | hall visit
church | die Kirche, Kirchen | une église | in in dans | in à | hall visit
library | die Bibliothek, Bibliotheken | une bibliothèque | in in à | in à | hall
hospital | das Krankenhaus, Krankenhäuser | un hôpital/hôpitaux | in in à | in à | hall
restaurant | das Restaurant, Restaurants | un restaurant | in in à | in à | hall eat
hotel | das Hotel, Hotels | un hôtel | in in à | in à | hall eat
castle | das Schloss, Schlösser | un château | in in dans | zu à | hall visit
bakery | die Bäckerei, Bäckereien | une boulangerie | in in à | zu à | shop
supermarket | der Supermarkt, Supermärkte | un supermarché | in in à | zu à | shop
bookstore | die Buchhandlung, Buchhandlungen | une librairie | in in dans | zu à | shop
theater | das Theater, Theater | un théâtre | in in à | in à | hall
stadium | das Stadion, Stadien | un stade | in in à | in à | hall
zoo | der Zoo, Zoos | un zoo/zoos | in at à | in à | visit zoo
circus | der Zirkus, Zirkusse | un cirque | in at à | in à | visit zoo
swimming pool | das Schwimmbad, Schwimmbäder | une piscine | in at à | in à | swim
gym | die Turnhalle, Turnhallen | un gymnase | in in dans | in à | hall
playground | der Spielplatz, Spielplätze | un terrain de jeu/terrains de jeu | auf on sur | auf à | out
campsite | der Campingplatz, Campingplätze | un camping | auf at à | zu à | out eat
forest | der Wald, Wälder | une forêt | in in dans | in dans | nature green
meadow | die Wiese, Wiesen | une prairie | auf in dans | auf dans | nature green farm
field | das Feld, Felder | un champ | auf in dans | auf à | nature green farm work
beach | der Strand, Strände | une plage | an on sur | an à | nature shore
lake | der See, Seen | un lac | an by au_bord_de | zu à | nature shore swimin
river | der Fluss, Flüsse | une rivière | an by au_bord_de | zu à | nature shore swimin
pond | der Teich, Teiche | un étang | an by au_bord_de | zu à | nature shore swimin
mountain | der Berg, Berge | une montagne | auf on sur | | nature
valley | das Tal, Täler | une vallée | in in dans | in dans | nature
desert | die Wüste, Wüsten | un désert | in in dans | in dans | nature
island | die Insel, Inseln | une île | auf on sur | auf sur | nature visit
village | das Dorf, Dörfer | un village | in in dans | in à | out visit
city | die Stadt, Städte | une ville | in in dans | in à | out visit
bridge | die Brücke, Brücken | un pont | auf on sur | | out road
hill | der Hügel, Hügel | une colline | auf on sur | | nature
path | der Weg, Wege | un chemin | auf on sur | | nature
cave | die Höhle, Höhlen | une grotte | in in dans | in dans | nature
orchard | der Obstgarten, Obstgärten | un verger | in in dans | in dans | green
greenhouse | das Gewächshaus, Gewächshäuser | une serre | in in dans | in dans | green work
jungle | der Dschungel, Dschungel | une jungle | in in dans | in dans | nature
"""
